import { readdirSync, readFileSync } from "node:fs"
import {
  Demiflow,
  Errno,
  type ListenerRef,
  NO_PIPE,
  type Pipe,
  type SideRef,
  type Socket,
  SocketEvent,
  Vectors,
} from "@demiflow/core"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { FileCommand, MessageFlag } from "./constants.ts"
import { LinuxSockets } from "./linux-sockets.ts"
import type { Native } from "./native.ts"
import { LinuxPipes } from "./pipes.ts"
import { arena, Events, loopback, native, towards, unusedPort } from "./test-support.ts"

const events = new Events()
const sockets = new LinuxSockets(native, arena, events.loop)
const pipes = new LinuxPipes(native, arena)
const REGION = 256 << 10
const region = arena.reserve(REGION, 64)
const vectors = new Vectors(arena, 1)

const EPERM = 1
const openDescriptors = (): number => readdirSync("/proc/self/fd").length

/** The two ends of a connection on loopback, both of them watched. */
interface Connection {
  readonly near: Socket
  readonly far: Socket
  readonly nearSide: SideRef
  readonly farSide: SideRef
}

let lastSide = 0
let open: Connection[] = []
let pipe: Pipe

function connect(isV4: boolean): Connection {
  const port = unusedPort()
  const listener = sockets.tcpListen(1 as ListenerRef, {
    address: loopback(isV4),
    port,
    interfaceName: undefined,
    freebind: false,
  })
  const nearSide = ++lastSide as SideRef
  const farSide = ++lastSide as SideRef
  const near = sockets.tcpConnect(nearSide, towards(isV4, port))
  events.until(nearSide, SocketEvent.writable)
  const far = sockets.tcpAccept(listener, new Demiflow())
  expect(far).toBeGreaterThanOrEqual(0)
  expect(sockets.watch(far, farSide)).toBe(0)
  sockets.close(listener)
  const connection = { near, far, nearSide, farSide }
  open.push(connection)
  return connection
}

/** Sends what the socket takes, at most `length` bytes from `offset` on. */
function send(socket: Socket, offset: number, length: number): number {
  vectors.set(0, offset, length)
  return sockets.send(socket, vectors, 0, 1)
}

function sendText(socket: Socket, text: string): void {
  arena.bytes.set(new TextEncoder().encode(text), region)
  expect(send(socket, region, text.length)).toBe(text.length)
}

/** Receives what has arrived, up to `length` bytes, to `offset`. */
function receive(socket: Socket, offset: number, length: number): number {
  vectors.set(0, offset, length)
  return native.receiveVectors(socket, vectors.offset, 1, MessageFlag.doNotWait)
}

function receiveText(socket: Socket): string {
  const length = receive(socket, region, REGION)
  return length < 0 ? `error ${length}` : Buffer.from(arena.bytes.subarray(region, region + length)).toString()
}

/** Waits until the kernel holds this many bytes for the socket. */
function untilArrived(socket: Socket, bytes: number): void {
  for (let turn = 0; turn < 2_000; turn++) {
    if (sockets.unread(socket) === bytes) return
    events.loop.round(1_000)
  }
  throw new Error(`${sockets.unread(socket)} bytes arrived instead of ${bytes}`)
}

/** The events reported for a side since the last call, without waiting. */
function reported(side: SideRef): number {
  events.loop.round(0)
  const bits = events.seen.get(side) ?? 0
  events.seen.delete(side)
  return bits
}

beforeEach(() => {
  pipe = pipes.open()
})
afterEach(() => {
  for (const { near, far } of open) {
    sockets.close(near)
    sockets.close(far)
  }
  open = []
  pipes.close(pipe)
})

describe.each([
  ["IPv4", true],
  ["IPv6", false],
] as const)("pipes between sockets over %s", (_family, isV4) => {
  it("pass on what there is, and say when there is none", () => {
    const [from, to] = [connect(isV4), connect(isV4)]
    expect(pipes.fill(pipe, from.far)).toBe(-Errno.EAGAIN)
    expect(pipes.drain(pipe, to.near, 100)).toBe(-Errno.EAGAIN)
    sendText(from.near, "question")
    events.until(from.farSide, SocketEvent.readable)
    expect(pipes.fill(pipe, from.far)).toBe(8)
    expect(pipes.fill(pipe, from.far)).toBe(-Errno.EAGAIN)
    expect(pipes.drain(pipe, to.near, 5)).toBe(5)
    expect(pipes.drain(pipe, to.near, 3)).toBe(3)
    untilArrived(to.far, 8)
    expect(receiveText(to.far)).toBe("question")
    // New data is reported again after the earlier events were taken.
    reported(from.farSide)
    sendText(from.near, "another")
    events.until(from.farSide, SocketEvent.readable)
    expect(pipes.fill(pipe, from.far)).toBe(7)
  })

  it("keep many bytes as they are, and in order", () => {
    const [from, to] = [connect(isV4), connect(isV4)]
    const total = 16 << 20
    // Not a multiple of a page, or of any other unit.
    const pattern = region
    const period = 65_521
    for (let index = 0; index < period; index++) arena.bytes[pattern + index] = (index * 31 + (index >> 8)) & 0xff
    const arrived = region + period
    const room = REGION - period
    let [sent, inPipe, received] = [0, 0, 0]
    let wrong = 0
    for (let turn = 0; received < total && turn < 1_000_000; turn++) {
      const before = received + sent + inPipe
      const place = sent % period
      if (sent < total) sent += Math.max(0, send(from.near, pattern + place, Math.min(period - place, total - sent)))
      if (inPipe === 0) inPipe = Math.max(0, pipes.fill(pipe, from.far))
      if (inPipe > 0) inPipe -= Math.max(0, pipes.drain(pipe, to.near, inPipe))
      const count = Math.max(0, receive(to.far, arrived, room))
      for (let index = 0; index < count; index++) {
        if (arena.bytes[arrived + index] !== arena.bytes[pattern + ((received + index) % period)]) wrong++
      }
      received += count
      if (received + sent + inPipe === before) events.loop.round(1_000)
    }
    expect({ received, wrong, inPipe }).toEqual({ received: total, wrong: 0, inPipe: 0 })
  })

  it("report when a socket that took no more has room again", () => {
    const [from, to] = [connect(isV4), connect(isV4)]
    let inPipe = 0
    for (;;) {
      send(from.near, region, REGION)
      if (inPipe === 0) inPipe = Math.max(0, pipes.fill(pipe, from.far))
      const drained = pipes.drain(pipe, to.near, inPipe)
      if (inPipe > 0 && drained === -Errno.EAGAIN) break
      inPipe -= Math.max(0, drained)
      if (inPipe === 0) events.loop.round(0)
    }
    reported(to.nearSide)
    expect(pipes.drain(pipe, to.near, inPipe)).toBe(-Errno.EAGAIN)
    const deadline = native.monotonicMicroseconds() + 5_000_000
    while ((reported(to.nearSide) & SocketEvent.writable) === 0) {
      expect(native.monotonicMicroseconds()).toBeLessThan(deadline)
      receive(to.far, region, REGION)
      events.loop.round(100)
    }
    expect(pipes.drain(pipe, to.near, inPipe)).toBeGreaterThan(0)
  })

  it("answer 0 at the end of what is sent, behind all of it", () => {
    const { near, far, farSide } = connect(isV4)
    sendText(near, "last")
    sockets.shutdownWrite(near)
    events.until(farSide, SocketEvent.readEnd)
    expect(pipes.fill(pipe, far)).toBe(4)
    expect(pipes.fill(pipe, far)).toBe(0)
    expect(pipes.fill(pipe, far)).toBe(0)
  })

  it("report a reset behind what came before it, once", () => {
    const { near, far, farSide } = connect(isV4)
    sendText(near, "last")
    untilArrived(far, 4)
    sockets.reset(near)
    open = []
    events.until(farSide, SocketEvent.error)
    expect(pipes.fill(pipe, far)).toBe(4)
    expect(pipes.fill(pipe, far)).toBe(-Errno.ECONNRESET)
    expect(sockets.socketError(far)).toBe(0)
    expect(pipes.fill(pipe, far)).toBe(0)
    sockets.close(far)
  })

  it("report when a socket can't be sent to any more, and the process lives on", () => {
    const [from, to] = [connect(isV4), connect(isV4)]
    // Without being ignored, SIGPIPE (13) would end the process here.
    const ignored = readFileSync("/proc/self/status", "latin1").match(/^SigIgn:\s+([0-9a-f]+)$/m)?.[1] ?? ""
    expect(BigInt(`0x${ignored}`) & (1n << 12n)).not.toBe(0n)
    sendText(from.near, "for nobody")
    untilArrived(from.far, 10)
    expect(pipes.fill(pipe, from.far)).toBe(10)
    sockets.reset(to.far)
    events.until(to.nearSide, SocketEvent.error)
    expect(pipes.drain(pipe, to.near, 10)).toBe(-Errno.ECONNRESET)
    expect(pipes.drain(pipe, to.near, 10)).toBe(-Errno.EPIPE)
    sockets.shutdownWrite(from.near)
    expect(pipes.drain(pipe, from.near, 10)).toBe(-Errno.EPIPE)
    sockets.close(to.near)
    open.pop()
  })

  it("stop before a byte that is marked as urgent, which reading gets past", () => {
    const { near, far } = connect(isV4)
    sendText(near, "before")
    arena.bytes[region] = 0x21
    vectors.set(0, region, 1)
    expect(native.sendVectors(near, vectors.offset, 1, MessageFlag.outOfBand)).toBe(1)
    sendText(near, "behind")
    untilArrived(far, 13)
    expect(pipes.fill(pipe, far)).toBe(6)
    expect(native.read(pipe, region, 100)).toBe(6)
    expect(pipes.fill(pipe, far)).toBe(-Errno.EAGAIN)
    vectors.set(0, region, 100)
    expect(sockets.peek(far, vectors, 0, 1, 0)).toBe(7)
    expect(Buffer.from(arena.bytes.subarray(region, region + 7)).toString()).toBe("!behind")
    expect(sockets.discard(far, 2)).toBe(2)
    expect(pipes.fill(pipe, far)).toBe(5)
  })
})

describe("a pipe", () => {
  const sizeOf = (each: Pipe): number => native.fileControl(each, FileCommand.getPipeSize, 0)

  it("is closed at both ends, once", () => {
    const before = openDescriptors()
    const other = pipes.open()
    expect(openDescriptors()).toBe(before + 2)
    pipes.close(other)
    expect(openDescriptors()).toBe(before)
    // Its numbers may have been reused by now.
    const next = pipes.open()
    expect(next).toBe(other)
    const last = pipes.open()
    pipes.close(last)
    pipes.close(last)
    pipes.close(NO_PIPE)
    expect(openDescriptors()).toBe(before + 2)
    pipes.close(next)
  })

  it("may have a large number", () => {
    const many: Pipe[] = []
    while (many.length < 200) many.push(pipes.open())
    const { near, far } = connect(true)
    sendText(near, "through the last")
    untilArrived(far, 16)
    expect(pipes.fill(many[199], far)).toBe(16)
    for (const each of many) pipes.close(each)
  })

  it("can't be opened without descriptors", () => {
    const without = new LinuxPipes({ ...native, createPipe: () => -Errno.EMFILE }, arena)
    expect(without.open()).toBe(-Errno.EMFILE)
  })

  it("is as large as the kernel allows", () => {
    const asked: number[] = []
    let allowed = 1 << 20
    const limited: Native = {
      ...native,
      fileControl(descriptor, command, size) {
        asked.push(size >> 10)
        return size > allowed ? -EPERM : native.fileControl(descriptor, command, size)
      },
    }
    const some = new LinuxPipes(limited, arena)
    /** Opens a pipe with this many bytes allowed. Returns the sizes requested and the size granted, in KiB. */
    const opened = (bytes: number): [asked: number[], got: number] => {
      allowed = bytes
      asked.length = 0
      const each = some.open()
      const got = sizeOf(each) >> 10
      some.close(each)
      return [[...asked], got]
    }
    expect(opened(1 << 20)).toEqual([[1024], 1024])
    expect(opened(300 << 10)).toEqual([[1024, 512, 256], 256])
    expect(opened(300 << 10)).toEqual([[512, 256], 256])
    // Nothing is requested beyond the kernel's default size: a request could only make the pipe smaller.
    expect(opened(0)).toEqual([[512, 256, 128], 64])
    expect(opened(0)).toEqual([[128], 64])
    expect(opened(1 << 20)).toEqual([[128], 128])
    expect([opened(1 << 20)[1], opened(1 << 20)[1], opened(1 << 20)[1], opened(1 << 20)[1]]).toEqual([
      256, 512, 1024, 1024,
    ])
  })
})
