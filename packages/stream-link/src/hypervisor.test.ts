import { join } from "node:path"
import { Drops, FrameBatch } from "@demiflow/core"
import { EventLoop, SocketType } from "@demiflow/sys"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { FRAME_LENGTH_BYTES } from "./framing.ts"
import { Hypervisor } from "./hypervisor.ts"
import { type StreamEnd, StreamError } from "./stream-errors.ts"
import { StreamLink } from "./stream-link.ts"
import { listenAt } from "./stream-listener.ts"
import {
  arena,
  concatenate,
  connectTo,
  framed,
  framesOf,
  isClosed,
  limitSendBuffer,
  native,
  numberedFrame,
  OtherEnd,
  socketPair,
  temporaryFolder,
} from "./test-support.ts"

const drops = new Drops()
const link = new StreamLink(native, arena, { backlogBytes: 80_000, receiveBytes: 80_000, drops })
const loop = new EventLoop(native, arena)
const batch = new FrameBatch(4)
const region = arena.reserve(1 << 20)

let reported: string[]
let ends: StreamEnd[]
let received: Uint8Array[]
let resumed: number
let hypervisor: Hypervisor
let folder: ReturnType<typeof temporaryFolder>
let path: string

beforeEach(() => {
  // One microsecond a call, so that a busy machine doesn't end a turn.
  let now = 0
  vi.spyOn(native, "monotonicWord").mockImplementation(() => now++)
  reported = []
  ends = []
  received = []
  resumed = 0
  folder = temporaryFolder()
  path = join(folder.path, "socket")
  hypervisor = new Hypervisor(native, loop, link, {
    onConnected: (process) => reported.push(`connected ${process}`),
    onRefused: (process) => reported.push(`refused ${process}`),
    onFrames() {
      if (link.receive(batch) > 0) received.push(...framesOf(batch))
    },
    onResume: () => resumed++,
    onGone(end) {
      // Flows may still send when they are ended.
      send(numberedFrame(0, 60))
      reported.push(`gone ${end.kind}`)
      ends.push(end)
    },
  })
})
afterEach(() => {
  hypervisor.close()
  folder.remove()
  vi.restoreAllMocks()
})

/** Runs the loop until everything has been reported. */
function turn(rounds = 4): void {
  for (let round = 0; round < rounds; round++) loop.round(0)
}

function send(frame: Uint8Array): void {
  const one = new FrameBatch(1)
  arena.bytes.set(frame, region + FRAME_LENGTH_BYTES)
  one.setPlain(0, region + FRAME_LENGTH_BYTES, frame.length)
  expect(link.send(one, 0, 1)).toBe(1)
}

function connect(): OtherEnd {
  const other = new OtherEnd(connectTo(path))
  turn()
  return other
}

function frames(count: number, from = 0): Uint8Array[] {
  return Array.from({ length: count }, (_, index) => numberedFrame(from + index, 100))
}

const stream = (all: readonly Uint8Array[]): Uint8Array => concatenate(all.map((frame) => framed(frame)))

describe("a hypervisor that connects", () => {
  beforeEach(() => hypervisor.listen(listenAt(native, arena, path)))

  it("is reported, with its process, and frames pass both ways", () => {
    expect(hypervisor.isConnected).toBe(false)
    const other = connect()
    expect([reported, hypervisor.isConnected]).toEqual([[`connected ${process.pid}`], true])
    other.write(stream(frames(10)))
    // All frames of one read are handed out, though a batch holds four.
    turn(1)
    expect(received).toEqual(frames(10))
    send(numberedFrame(77, 80))
    expect(other.read()).toEqual([numberedFrame(77, 80)])
    other.close()
  })

  it("has its frames handed out for a while, and the rest once others have had their turn", async () => {
    const other = connect()
    let calls = 0
    vi.spyOn(native, "monotonicWord").mockImplementation(() => calls++ * 1_000)
    other.write(stream(frames(20)))
    turn(1)
    expect(received).toEqual(frames(8))
    await new Promise(setImmediate)
    expect(received).toEqual(frames(16))
    await new Promise(setImmediate)
    expect(received).toEqual(frames(20))
    other.write(stream(frames(20)))
    turn(1)
    other.close()
    hypervisor.close()
    await new Promise(setImmediate)
    expect(received).toHaveLength(28)
  })

  it("goes, and another one comes", () => {
    for (const kind of ["first", "second", "third"]) {
      reported = []
      received = []
      const other = connect()
      const descriptor = link.descriptor
      other.write(stream(frames(3)))
      other.close()
      turn()
      expect([kind, reported]).toEqual([kind, [`connected ${process.pid}`, "gone closed"]])
      expect(received).toEqual(frames(3))
      expect([hypervisor.isConnected, isClosed(descriptor)]).toEqual([false, true])
    }
  })

  it("goes, and another one comes, reported before it", () => {
    const first = new OtherEnd(connectTo(path))
    turn(1)
    // The listener is still on the kernel's list of what is ready, before the first one's socket.
    first.close()
    const second = new OtherEnd(connectTo(path))
    const third = new OtherEnd(connectTo(path))
    turn()
    const own = process.pid
    expect(reported).toEqual([`connected ${own}`, "gone closed", `connected ${own}`, `refused ${own}`])
    second.close()
    third.close()
  })

  it("keeps others away: they are closed at once", () => {
    const first = connect()
    const second = connect()
    expect(reported).toEqual([`connected ${process.pid}`, `refused ${process.pid}`])
    expect(native.read(second.descriptor, region, 1)).toBe(0)
    first.write(stream(frames(1)))
    turn()
    expect(received).toEqual(frames(1))
    first.close()
    second.close()
    turn()
    reported = []
    connect().close()
    turn()
    expect(reported).toEqual([`connected ${process.pid}`, "gone closed"])
  })

  it.each([0, 70_000])("is closed for a length of %i, and others may come", (length) => {
    const other = connect()
    other.write(concatenate([stream(frames(4)), framed(new Uint8Array(50), length)]))
    turn()
    expect(received).toEqual(frames(4))
    expect(ends).toEqual([{ kind: "bad length", length }])
    expect([-104, 0]).toContain(native.read(other.descriptor, region, 1))
    other.close()
    connect().close()
    turn()
    expect(reported).toHaveLength(4)
  })

  it("is watched for taking more only as long as it is slow, and reported once", () => {
    const other = connect()
    limitSendBuffer(link.descriptor, 4_096)
    const sent = frames(60)
    for (const frame of sent) send(frame)
    expect(link.isCongested).toBe(true)
    turn()
    expect(resumed).toBe(0)
    const arrived: Uint8Array[] = []
    for (let round = 0; round < 1_000 && arrived.length < sent.length; round++) {
      arrived.push(...other.read(500))
      turn(1)
    }
    expect(arrived).toEqual(sent)
    expect([link.isCongested, resumed]).toEqual([false, 1])
    const modify = loop.modify.bind(loop)
    let modified = 0
    loop.modify = (...parameters) => {
      modified++
      return modify(...parameters)
    }
    send(numberedFrame(1, 60))
    turn()
    expect([resumed, modified]).toEqual([1, 0])
    loop.modify = modify
    other.close()
  })

  it("is found to be gone while something waits for it", () => {
    const other = connect()
    limitSendBuffer(link.descriptor, 4_096)
    for (const frame of frames(60)) send(frame)
    other.close()
    turn()
    expect([reported.length, hypervisor.isConnected, link.isCongested, resumed]).toEqual([2, false, false, 0])
  })

  it("is found to be gone by sending, also if it has only stopped reading", () => {
    const other = connect()
    native.shutdown(other.descriptor, 0)
    send(numberedFrame(1, 60))
    turn()
    expect(ends).toEqual([{ kind: "failed", errno: 32 }])
    other.close()
  })

  it("is left alone for a while if there is no descriptor for it", () => {
    const errors: number[] = []
    hypervisor.close()
    const listener = listenAt(native, arena, path)
    const other = new Hypervisor(native, loop, link, { ...hooks, onAcceptError: (errno) => errors.push(errno) })
    other.listen(listener)
    const accept = listener.accept.bind(listener)
    listener.accept = () => -24
    const client = connectTo(path)
    turn()
    expect(errors).toEqual([24])
    listener.accept = accept
    native.close(client)
    other.close()
  })
})

const hooks = { onFrames: () => {}, onGone: () => {} }

describe("a socket that is connected already", () => {
  it("is taken over", () => {
    const [own, others] = socketPair()
    hypervisor.adopt(own)
    const other = new OtherEnd(others)
    other.write(stream(frames(2)))
    other.close()
    turn()
    expect(reported).toEqual([`connected ${process.pid}`, "gone closed"])
    expect(received).toEqual(frames(2))
  })

  it("is served first", () => {
    const listener = listenAt(native, arena, path)
    const [datagrams, others] = socketPair(SocketType.datagram)
    const event = native.createEvent(0)
    const lone = native.socket(1, SocketType.stream, 0)
    const reasons = [
      [999_999, "isn't open"],
      [event, "isn't a socket"],
      [datagrams, "isn't a stream socket"],
      [listener.descriptor, "listens, and has to be connected"],
      [lone, "isn't connected"],
    ] as const
    for (const [descriptor, why] of reasons) {
      const attempt = () => hypervisor.adopt(descriptor)
      expect(attempt).toThrow(`Descriptor ${descriptor} can't be the hypervisor's socket: it ${why}`)
      expect(attempt).toThrow(StreamError)
    }
    expect([reported, hypervisor.isConnected]).toEqual([[], false])
    for (const descriptor of [datagrams, others, event, lone]) native.close(descriptor)
    listener.close()
  })
})

describe("frames that the owner takes later", () => {
  let waits = false

  beforeEach(() => {
    hypervisor.close()
    hypervisor = new Hypervisor(native, loop, link, {
      onConnected: () => reported.push("connected"),
      onRefused: () => reported.push("refused"),
      takesFramesLater: true,
      onFrames() {
        waits = true
      },
      onGone: (end) => reported.push(`gone ${end.kind}`),
    })
    hypervisor.listen(listenAt(native, arena, path))
  })

  /** Runs the loop, and takes frames after each round, until a batch isn't full. */
  function turns(): void {
    for (let round = 0; round < 6; round++) {
      loop.round(0)
      while (waits) {
        const count = link.receive(batch)
        if (count > 0) received.push(...framesOf(batch))
        if (count < 0) hypervisor.checkEnd()
        waits = count === batch.capacity
      }
    }
  }

  it("come before the end, which makes room for another hypervisor at once", () => {
    const first = new OtherEnd(connectTo(path))
    turns()
    first.write(stream(frames(10)))
    first.close()
    const second = new OtherEnd(connectTo(path))
    turns()
    expect(received).toEqual(frames(10))
    expect(reported).toEqual(["connected", "gone closed", "connected"])
    second.close()
    turns()
    expect(reported.slice(3)).toEqual(["gone closed"])
  })

  it.each([4, 5])("may be followed by a length that ends the stream: %i", (count) => {
    const other = new OtherEnd(connectTo(path))
    turns()
    other.write(concatenate([stream(frames(count)), framed(new Uint8Array(50), 0)]))
    turns()
    expect(received).toEqual(frames(count))
    expect(reported).toEqual(["connected", "gone bad length"])
    other.close()
  })
})

it("closing ends everything, and reports nothing", () => {
  hypervisor.listen(listenAt(native, arena, path))
  const other = connect()
  const { descriptor } = link
  hypervisor.close()
  hypervisor.close()
  expect([reported.length, isClosed(descriptor), connectTo(path)]).toEqual([1, true, -2])
  turn()
  other.close()
})
