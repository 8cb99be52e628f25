import { setImmediate } from "node:timers/promises"
import { Errno } from "@demiflow/core"
import { type FrontendUnderTest, frontendCompliance } from "@demiflow/testkit/compliance"
import { createV86NetworkStream, type V86Emulator } from "@tcpip/v86"
import { describe, expect, it, vi } from "vitest"
import type { PacketLinkOptions } from "./packet-link.ts"
import { arenaFor, frameOf, StackEnd, until } from "./test-support.ts"
import { webStreamsLink } from "./web-streams-link.ts"

/** Two streams, and the functions with which a test plays their other end. */
function streams(size = 1) {
  const fromGuest = new TransformStream<unknown, unknown>(undefined, { highWaterMark: size })
  const toGuest = new TransformStream<Uint8Array, Uint8Array>(undefined, { highWaterMark: size })
  return {
    pair: { readable: fromGuest.readable, writable: toGuest.writable },
    writer: fromGuest.writable.getWriter(),
    reader: toGuest.readable.getReader(),
  }
}

function setup(size: number, options: PacketLinkOptions = {}): FrontendUnderTest {
  const { pair, writer, reader } = streams(size)
  let arrived: Uint8Array[] = []
  const readAll = async () => {
    for (let next = await reader.read(); !next.done; next = await reader.read()) arrived.push(next.value)
  }
  readAll().catch(() => {})
  return {
    link: webStreamsLink(arenaFor(options), pair, options),
    send(frames) {
      for (const frame of frames) writer.write(frame).catch(() => {})
    },
    receive() {
      const frames = arrived
      arrived = []
      return frames
    },
    turn: () => setImmediate(),
    hangUp: () => writer.close(),
  }
}

describe("a link over streams that hold one frame", () => frontendCompliance(() => setup(1)))
describe("a link over streams that hold many frames", () => frontendCompliance(() => setup(100)))
describe("a link over streams with large frames", () => frontendCompliance(() => setup(1, { mtu: 65_535 })))
describe("a link over streams with small queues", () =>
  frontendCompliance(() => setup(1, { queueBytes: 4 << 10, backlogBytes: 16 << 10 })))

/** The network card of an emulator, by the events of v86, behind the streams that tcpip.js makes of it. */
function emulatorBehindTcpipJs(): FrontendUnderTest {
  let sent: (frame: Uint8Array) => void = () => {}
  let arrived: Uint8Array[] = []
  const emulator = {
    add_listener(_: string, listener: typeof sent) {
      sent = listener
    },
    bus: { send: (_: string, frame: Uint8Array) => arrived.push(frame) },
  }
  return {
    link: webStreamsLink(arenaFor(), createV86NetworkStream(emulator as unknown as V86Emulator)),
    send(frames) {
      for (const frame of frames) sent(frame)
    },
    receive() {
      const frames = arrived
      arrived = []
      return frames
    },
    turn: () => setImmediate(),
  }
}

describe("a link over the streams of tcpip.js's adapter for v86", () => frontendCompliance(emulatorBehindTcpipJs))

it("reads no more than the stack takes: the other end waits, and nothing is lost", async () => {
  const { pair, writer } = streams()
  const link = webStreamsLink(arenaFor(), pair, { queueBytes: 8 << 10 })
  const stack = new StackEnd(link)
  let written = 0
  const writeAll = async () => {
    for (; written < 200; written++) {
      await writer.ready
      await writer.write(frameOf(1_514, written))
    }
  }
  const done = writeAll()
  await until(() => !link.hasRoom)
  for (let round = 0; round < 10; round++) await setImmediate()
  expect(written).toBeLessThan(10)
  const arrived: number[] = []
  await until(() => arrived.push(...stack.receive().map(([fill]) => fill)) === 200)
  await done
  expect(arrived).toEqual(Array.from({ length: 200 }, (_, index) => index))
  expect(link.drops.total).toBe(0)
  link.close()
})

it("asks for a turn of the runtime after frames, for a loop that waits for no promise", () => {
  const link = webStreamsLink(arenaFor(), streams().pair)
  const asked = vi.spyOn(globalThis, "setImmediate")
  new StackEnd(link).send(frameOf(60))
  expect(asked).toHaveBeenCalledOnce()
  asked.mockRestore()
  link.close()
})

it("writes no more than the other end reads, and resumes", async () => {
  const { pair, reader } = streams()
  let resumes = 0
  const link = webStreamsLink(arenaFor(), pair, { backlogBytes: 16 << 10, onResume: () => resumes++ })
  const stack = new StackEnd(link)
  let taken = 0
  while (stack.send(frameOf(1_514, taken))) taken++
  for (let round = 0; round < 10; round++) await setImmediate()
  expect(link.isCongested).toBe(true)
  const arrived: number[] = []
  while (arrived.length < taken) arrived.push((await reader.read()).value?.[0] ?? -1)
  expect(arrived).toEqual(Array.from({ length: taken }, (_, index) => index))
  expect(link.isCongested).toBe(false)
  expect(resumes).toBe(1)
  link.close()
})

it("counts what is no frame, and goes on", async () => {
  const { pair, writer } = streams(10)
  const link = webStreamsLink(arenaFor(), pair)
  const stack = new StackEnd(link)
  for (const chunk of ["a text", undefined, 7, frameOf(0), frameOf(1_515), frameOf(60, 1)]) {
    writer.write(chunk).catch(() => {})
  }
  const frames: Uint8Array[] = []
  await until(() => frames.push(...stack.receive()) >= 1)
  expect(frames).toEqual([frameOf(60, 1)])
  expect(link.drops.entries()).toEqual([
    ["link: shorter than an Ethernet header", 1],
    ["link: longer than the MTU allows", 1],
    ["link: not a frame", 3],
  ])
  link.close()
})

describe("the end", () => {
  it("comes after the frames before it", async () => {
    const { pair, writer } = streams(10)
    const link = webStreamsLink(arenaFor(), pair)
    const stack = new StackEnd(link)
    writer.write(frameOf(60)).catch(() => {})
    writer.close().catch(() => {})
    await until(() => link.end !== undefined)
    expect(link.end).toEqual({ kind: "closed" })
    expect(stack.receive()).toHaveLength(1)
    expect(stack.answer).toBe(-Errno.EPIPE)
  })

  it("has the error of a stream that is read", async () => {
    const { pair, writer } = streams()
    const link = webStreamsLink(arenaFor(), pair)
    const error = new Error("the worker is gone")
    writer.abort(error).catch(() => {})
    await until(() => link.end !== undefined)
    expect(link.end).toEqual({ kind: "failed", error })
  })

  it("has the error of a stream that is written, and no rejection is left unhandled", async () => {
    const unhandled: unknown[] = []
    const note = (reason: unknown) => unhandled.push(reason)
    process.on("unhandledRejection", note)
    const { pair, reader } = streams()
    const link = webStreamsLink(arenaFor(), pair)
    const stack = new StackEnd(link)
    for (let fill = 0; fill < 5; fill++) stack.send(frameOf(60, fill))
    const error = new Error("nobody reads")
    await reader.cancel(error)
    await until(() => link.end !== undefined)
    expect(link.end).toEqual({ kind: "failed", error })
    expect(stack.send(frameOf(60))).toBe(true)
    expect(link.drops.get("link: no guest")).toBe(1)
    for (let round = 0; round < 10; round++) await setImmediate()
    process.off("unhandledRejection", note)
    expect(unhandled).toEqual([])
  })

  it("from this side closes both streams", async () => {
    const { pair, writer, reader } = streams()
    const link = webStreamsLink(arenaFor(), pair)
    link.close()
    expect((await reader.read()).done).toBe(true)
    await expect(writer.write(frameOf(60))).rejects.toBeUndefined()
    expect(link.end).toBeUndefined()
  })

  it("comes at once if a stream has ended before", async () => {
    const { pair, writer } = streams()
    writer.close().catch(() => {})
    const link = webStreamsLink(arenaFor(), pair)
    await until(() => link.end !== undefined)
    expect(link.end).toEqual({ kind: "closed" })
  })
})

it("throws for a stream that is locked", () => {
  const { pair } = streams()
  pair.readable.getReader()
  expect(() => webStreamsLink(arenaFor(), pair)).toThrow(TypeError)
})
