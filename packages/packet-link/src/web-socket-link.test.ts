import { once } from "node:events"
import { createRequire } from "node:module"
import type { AddressInfo } from "node:net"
import { setImmediate } from "node:timers/promises"
import { Errno } from "@demiflow/core"
import { type FrontendUnderTest, frontendCompliance } from "@demiflow/testkit/compliance"
import { afterAll, afterEach, describe, expect, it, vi } from "vitest"
import type { PacketLink } from "./packet-link.ts"
import { arenaFor, frameOf, StackEnd, until } from "./test-support.ts"
import { type FrameWebSocket, type WebSocketLinkOptions, webSocketLink } from "./web-socket-link.ts"

/** What the tests use of the package `ws`. */
interface Socket extends FrameWebSocket {
  send(message: ArrayBuffer | Uint8Array | string): void
  terminate(): void
  pause(): void
  on(event: string, listener: (value: unknown) => void): void
  readonly _socket: { write(bytes: Uint8Array): void }
}
interface Server {
  on(event: "connection", listener: (socket: Socket) => void): void
  address(): AddressInfo
  close(): void
}
const { WebSocket, WebSocketServer } = createRequire(import.meta.url)("ws") as {
  WebSocket: new (url: string) => Socket
  WebSocketServer: new (options: { host: string; port: number }) => Server & NodeJS.EventEmitter
}

let server: (Server & NodeJS.EventEmitter) | undefined
afterAll(() => server?.close())

/** Both ends of a connection on the loopback interface. The client may still be connecting, as far as it knows. */
async function connection(): Promise<{ client: Socket; accepted: Socket }> {
  if (server === undefined) {
    server = new WebSocketServer({ host: "127.0.0.1", port: 0 })
    await once(server, "listening")
  }
  const client = new WebSocket(`ws://127.0.0.1:${server.address().port}`)
  const [accepted] = (await once(server, "connection")) as [Socket]
  return { client, accepted }
}

async function setup(isClient: boolean, options: WebSocketLinkOptions = {}): Promise<FrontendUnderTest> {
  const { client, accepted } = await connection()
  const [own, other] = isClient ? [client, accepted] : [accepted, client]
  let arrived: Uint8Array[] = []
  other.on("message", (frame) => arrived.push(new Uint8Array(frame as Uint8Array)))
  if (!isClient) await once(client as unknown as NodeJS.EventEmitter, "open")
  return {
    link: webSocketLink(arenaFor(options), own, options),
    send(frames) {
      for (const frame of frames) other.send(frame)
    },
    receive() {
      const frames = arrived
      arrived = []
      return frames
    },
    turn: () => setImmediate(),
    hangUp: () => other.close(),
    close: () => other.terminate(),
  }
}

describe("a link over a client's WebSocket", () => frontendCompliance(() => setup(true)))
describe("a link over a server's WebSocket", () => frontendCompliance(() => setup(false)))
describe("a link over a WebSocket with large frames", () => frontendCompliance(() => setup(false, { mtu: 65_535 })))
describe("a link over a WebSocket that holds little", () =>
  frontendCompliance(() => setup(false, { socketBytes: 0, backlogBytes: 16 << 10 })))

const open: { close(): void }[] = []
afterEach(() => {
  for (const each of open.splice(0)) each.close()
  vi.useRealTimers()
})

async function linkAndSocket(options: WebSocketLinkOptions = {}) {
  const { client, accepted } = await connection()
  await once(client as unknown as NodeJS.EventEmitter, "open")
  const link = webSocketLink(arenaFor(options), accepted, options)
  open.push(link, { close: () => client.terminate() })
  return { link, stack: new StackEnd(link), socket: client }
}

it("counts what is no frame, and goes on", async () => {
  const { link, stack, socket } = await linkAndSocket()
  socket.send("a text")
  for (const length of [0, 13, 1_515, 1 << 20]) socket.send(frameOf(length))
  socket.send(frameOf(60, 1))
  const frames: Uint8Array[] = []
  await until(() => frames.push(...stack.receive()) >= 1)
  expect(frames).toEqual([frameOf(60, 1)])
  expect(link.drops.entries()).toEqual([
    ["link: shorter than an Ethernet header", 2],
    ["link: longer than the MTU allows", 2],
    ["link: not a frame", 1],
  ])
})

it("pauses the socket while the stack is slow, and loses nothing", async () => {
  const { link, stack, socket } = await linkAndSocket()
  const count = 8_000
  for (let index = 0; index < count; index++) socket.send(frameOf(1_514, index & 0xff))
  await until(() => !link.hasRoom)
  for (let round = 0; round < 100; round++) await setImmediate()
  const arrived: number[] = []
  await until(() => arrived.push(...stack.receive().map(([fill]) => fill)) === count)
  expect(arrived).toEqual(Array.from({ length: count }, (_, index) => index & 0xff))
  expect(link.drops.total).toBe(0)
})

it("closes although it has paused the socket", async () => {
  const { link, socket } = await linkAndSocket({ queueBytes: 8 << 10 })
  let isClosed = false
  socket.on("close", () => {
    isClosed = true
  })
  for (let index = 0; index < 1_000; index++) socket.send(frameOf(1_514))
  await until(() => !link.hasRoom)
  link.close()
  await until(() => isClosed)
})

it("ends when the other end closes, after the frames before", async () => {
  const { link, stack, socket } = await linkAndSocket()
  socket.send(frameOf(60))
  socket.close()
  await until(() => link.end !== undefined)
  expect(link.end).toEqual({ kind: "closed" })
  expect(stack.receive()).toHaveLength(1)
  expect(stack.answer).toBe(-Errno.EPIPE)
})

it("ends with a reason when the other end breaks off in the middle of a frame", async () => {
  const { link, stack, socket } = await linkAndSocket()
  socket.send(frameOf(60))
  // The header of a binary message of 100 bytes, with a mask, and 10 bytes of it.
  socket._socket.write(new Uint8Array([0x82, 0x80 | 100, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]))
  await until(() => stack.receive().length > 0)
  socket.terminate()
  await until(() => link.end !== undefined)
  expect(link.end).toEqual({
    kind: "failed",
    error: new Error("the WebSocket closed without a handshake, with code 1006"),
  })
})

it("ends with the socket's error when the other end breaks the protocol", async () => {
  const { link, socket } = await linkAndSocket()
  // An opcode that doesn't exist.
  socket._socket.write(new Uint8Array([0x83, 0x80, 0, 0, 0, 0]))
  await until(() => link.end !== undefined)
  expect(link.end).toMatchObject({ kind: "failed", error: { message: expect.stringContaining("invalid opcode") } })
})

it("has frames wait for a slow other end, refuses what is too much, and loses nothing that it took", async () => {
  const { link, stack, socket } = await linkAndSocket({ socketBytes: 64 << 10, backlogBytes: 256 << 10 })
  let resumes = 0
  link.onResume = () => resumes++
  const arrived: number[] = []
  socket.on("message", (frame) => arrived.push((frame as Uint8Array)[0]))
  socket.pause()
  let taken = 0
  // The kernel takes some megabytes first.
  while (stack.send(frameOf(1_514, taken & 0xff))) {
    taken++
    if (taken % 100 === 0) await setImmediate()
  }
  expect(link.isCongested).toBe(true)
  ;(socket as unknown as { resume(): void }).resume()
  await until(() => arrived.length === taken)
  expect(arrived).toEqual(Array.from({ length: taken }, (_, index) => index & 0xff))
  await until(() => !link.isCongested)
  expect(resumes).toBe(1)
})

/** A socket of a browser, as far as the link sees it. */
class ScriptedSocket extends EventTarget implements FrameWebSocket {
  binaryType = "blob"
  readyState = 0
  bufferedAmount = 0
  readonly sent: ArrayBuffer[] = []
  isClosed = false

  send(message: ArrayBuffer): void {
    this.sent.push(message)
    this.bufferedAmount += message.byteLength
  }

  close(): void {
    this.isClosed = true
  }

  change(readyState: number, event: string): void {
    this.readyState = readyState
    this.dispatchEvent(new Event(event))
  }
}

function linkAndScript(options: WebSocketLinkOptions = {}) {
  const socket = new ScriptedSocket()
  const link: PacketLink = webSocketLink(arenaFor(options), socket, options)
  open.push(link)
  return { socket, link, stack: new StackEnd(link) }
}

describe("a browser's WebSocket", () => {
  it("gets what waited until it was open", () => {
    vi.useFakeTimers()
    const { socket, link, stack } = linkAndScript()
    expect(socket.binaryType).toBe("arraybuffer")
    stack.send(frameOf(60, 1))
    stack.send(frameOf(70, 2))
    expect(vi.getTimerCount()).toBe(0)
    expect(link.isCongested).toBe(true)
    socket.change(1, "open")
    expect(socket.sent.map((message) => new Uint8Array(message))).toEqual([frameOf(60, 1), frameOf(70, 2)])
    expect(link.isCongested).toBe(false)
  })

  it("is polled while frames wait, by one timer, and no longer", () => {
    vi.useFakeTimers()
    const { socket, link, stack } = linkAndScript({ socketBytes: 100 })
    socket.change(1, "open")
    for (let fill = 0; fill < 5; fill++) stack.send(frameOf(60, fill))
    expect(socket.sent).toHaveLength(2)
    expect(vi.getTimerCount()).toBe(1)
    vi.advanceTimersByTime(10)
    expect(socket.sent).toHaveLength(2)
    socket.bufferedAmount = 0
    vi.advanceTimersByTime(2)
    expect(socket.sent).toHaveLength(4)
    socket.bufferedAmount = 0
    vi.advanceTimersByTime(2)
    expect(socket.sent).toHaveLength(5)
    expect(link.isCongested).toBe(false)
    expect(vi.getTimerCount()).toBe(0)
  })

  it("can't be paused: what a stack is too slow for is dropped and counted", () => {
    const { socket, link, stack } = linkAndScript({ queueBytes: 8 << 10 })
    socket.change(1, "open")
    for (let fill = 1; fill <= 20; fill++) {
      socket.dispatchEvent(Object.assign(new Event("message"), { data: frameOf(1_514, fill).buffer }))
    }
    expect(link.drops.get("link: queue full")).toBe(15)
    expect(stack.receive().map(([fill]) => fill)).toEqual([1, 2, 3, 4, 5])
    expect(link.end).toBeUndefined()
  })

  it("gets no timer once it is closing", () => {
    vi.useFakeTimers()
    const { socket, link, stack } = linkAndScript()
    socket.readyState = 2
    stack.send(frameOf(60))
    expect(vi.getTimerCount()).toBe(0)
    socket.change(3, "close")
    expect(link.end).toEqual({ kind: "closed" })
    expect(socket.isClosed).toBe(true)
  })

  it("may fail without a reason", () => {
    const { socket, link } = linkAndScript()
    socket.change(3, "error")
    expect(link.end).toEqual({ kind: "failed", error: new Error("the WebSocket failed") })
  })

  it("may be closed before there is a link: the caller gets the link first", async () => {
    const socket = new ScriptedSocket()
    socket.readyState = 3
    const ends: string[] = []
    const link = webSocketLink(arenaFor(), socket, { onEnd: ({ kind }) => ends.push(kind) })
    expect(link.isOpen).toBe(true)
    await setImmediate()
    expect(ends).toEqual(["closed"])
  })
})
