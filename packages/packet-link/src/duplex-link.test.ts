import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"
import { Duplex } from "node:stream"
import { setImmediate } from "node:timers/promises"
import { Errno } from "@demiflow/core"
import { type FrontendUnderTest, frontendCompliance } from "@demiflow/testkit/compliance"
import { afterEach, describe, expect, it } from "vitest"
import { type DuplexLinkOptions, duplexLink } from "./duplex-link.ts"
import { arenaFor, frameOf, StackEnd, until } from "./test-support.ts"

/** Both ends of a TCP connection on the loopback interface. */
async function socketPair(): Promise<[own: Socket, other: Socket]> {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const own = connect((server.address() as { port: number }).port, "127.0.0.1")
  const [other] = (await once(server, "connection")) as [Socket]
  await once(own, "connect")
  server.close()
  return [own, other]
}

/** Two streams in object mode, each of which reads what the other writes. A reader that wants no more has it wait. */
function objectPair(): [own: Duplex, other: Duplex] {
  const writers = new Map<Duplex, () => void>()
  const make = (partner: () => Duplex): Duplex =>
    new Duplex({
      objectMode: true,
      read() {
        const writer = writers.get(this)
        writers.delete(this)
        writer?.()
      },
      write(chunk, _encoding, callback) {
        if (partner().push(chunk)) callback()
        else writers.set(partner(), callback)
      },
      final(callback) {
        partner().push(null)
        callback()
      },
    })
  const own: Duplex = make(() => other)
  const other: Duplex = make(() => own)
  return [own, other]
}

function withLength(frame: Uint8Array): Buffer {
  const message = Buffer.alloc(4 + frame.length)
  message.writeUInt32BE(frame.length)
  message.set(frame, 4)
  return message
}

async function overSocket(options: DuplexLinkOptions): Promise<FrontendUnderTest> {
  const [own, other] = await socketPair()
  let arrived = Buffer.alloc(0)
  other.on("data", (piece) => {
    arrived = Buffer.concat([arrived, piece])
  })
  return {
    link: duplexLink(arenaFor(options), own, options),
    send(frames) {
      for (const frame of frames) other.write(withLength(frame))
    },
    receive() {
      const frames: Uint8Array[] = []
      while (arrived.length >= 4 && arrived.length >= 4 + arrived.readUInt32BE(0)) {
        const end = 4 + arrived.readUInt32BE(0)
        frames.push(new Uint8Array(arrived.subarray(4, end)))
        arrived = arrived.subarray(end)
      }
      return frames
    },
    turn: () => setImmediate(),
    hangUp: () => void other.destroy(),
    close: () => void other.destroy(),
  }
}

function overObjects(options: DuplexLinkOptions = {}): FrontendUnderTest {
  const [own, other] = objectPair()
  let arrived: Uint8Array[] = []
  other.on("data", (frame) => arrived.push(frame))
  return {
    link: duplexLink(arenaFor(options), own, { ...options, framing: "chunk" }),
    send(frames) {
      for (const frame of frames) other.write(frame)
    },
    receive() {
      const frames = arrived
      arrived = []
      return frames
    },
    turn: () => setImmediate(),
    hangUp: () => void other.end(),
  }
}

const small = { queueBytes: 4 << 10, backlogBytes: 16 << 10 }
describe("a link over a socket", () => frontendCompliance(() => overSocket({})))
describe("a link over a socket with large frames", () => frontendCompliance(() => overSocket({ mtu: 65_520 })))
describe("a link over a socket with small queues", () => frontendCompliance(() => overSocket(small)))
describe("a link over chunks", () => frontendCompliance(() => overObjects()))
describe("a link over chunks with small queues", () => frontendCompliance(() => overObjects(small)))

const open: { close(): void }[] = []
afterEach(() => {
  for (const each of open.splice(0)) each.close()
})

async function linkAndSocket(options: DuplexLinkOptions = {}) {
  const [own, other] = await socketPair()
  const link = duplexLink(arenaFor(options), own, options)
  open.push(link, { close: () => other.destroy() })
  other.on("error", () => {})
  return { link, stack: new StackEnd(link), own, other }
}

it("pauses the socket while the stack is slow, in the middle of a chunk too, and loses nothing", async () => {
  const { link, stack, other } = await linkAndSocket({ queueBytes: 8 << 10 })
  const frames = Array.from({ length: 3_000 }, (_, index) => withLength(frameOf(1_514, index & 0xff)))
  other.end(Buffer.concat(frames))
  await until(() => !link.hasRoom)
  const arrived: number[] = []
  await until(() => {
    arrived.push(...stack.receive().map(([fill]) => fill))
    return link.end !== undefined
  })
  arrived.push(...stack.receive().map(([fill]) => fill))
  expect(arrived).toEqual(frames.map((_, index) => index & 0xff))
  expect(link.end).toEqual({ kind: "closed" })
  expect(link.drops.total).toBe(0)
})

it("has frames wait for an other end that doesn't read, and resumes", async () => {
  const { link, stack, other } = await linkAndSocket({ backlogBytes: 64 << 10 })
  let resumes = 0
  link.onResume = () => resumes++
  other.pause()
  let taken = 0
  while (stack.send(frameOf(1_514, taken & 0xff))) {
    taken++
    if (taken % 50 === 0) await setImmediate()
  }
  expect(link.isCongested).toBe(true)
  let bytes = 0
  other.on("data", (piece) => {
    bytes += piece.length
  })
  other.resume()
  await until(() => bytes === taken * 1_518)
  await until(() => !link.isCongested)
  expect(resumes).toBeGreaterThan(0)
})

describe("an other end that breaks the format", () => {
  it.each([0, 0xffffffff])("by a length of %d, ends the link after the frames before", async (length) => {
    const { link, stack, own, other } = await linkAndSocket()
    const field = Buffer.alloc(4)
    field.writeUInt32BE(length)
    other.write(Buffer.concat([withLength(frameOf(60, 1)), field, withLength(frameOf(60, 2))]))
    await until(() => link.end !== undefined)
    expect(link.end).toEqual({ kind: "bad length", length })
    expect(stack.receive()).toEqual([frameOf(60, 1)])
    expect(stack.answer).toBe(-Errno.EPIPE)
    expect(own.destroyed).toBe(true)
  })

  it("by frames that are too long or too short, loses these only", async () => {
    const { link, stack, other } = await linkAndSocket()
    for (const length of [13, 1_515, 69_632]) other.write(withLength(frameOf(length)))
    other.write(withLength(frameOf(60, 1)))
    const frames: Uint8Array[] = []
    await until(() => frames.push(...stack.receive()) >= 1)
    expect(frames).toEqual([frameOf(60, 1)])
    expect(link.drops.entries()).toEqual([
      ["link: shorter than an Ethernet header", 1],
      ["link: longer than the MTU allows", 2],
    ])
  })

  it.each([2, 30])("by closing %d bytes into a frame, ends the link with that reason", async (length) => {
    const { link, stack, other } = await linkAndSocket()
    other.end(Buffer.concat([withLength(frameOf(60, 1)), withLength(frameOf(60, 2)).subarray(0, length)]))
    await until(() => link.end !== undefined)
    expect(link.end).toEqual({ kind: "truncated" })
    expect(stack.receive()).toEqual([frameOf(60, 1)])
  })

  it("by texts, ends the link", async () => {
    const { link, own, other } = await linkAndSocket()
    own.setEncoding("utf8")
    other.write("a text")
    await until(() => link.end !== undefined)
    expect(link.end).toMatchObject({ kind: "failed", error: { message: "The stream has texts in place of bytes" } })
  })
})

it("ends with the stream's error", async () => {
  const { link, stack, other } = await linkAndSocket()
  other.resetAndDestroy()
  await until(() => link.end !== undefined)
  expect(link.end).toMatchObject({ kind: "failed", error: { code: "ECONNRESET" } })
  expect(stack.send(frameOf(60))).toBe(true)
  expect(link.drops.get("link: no guest")).toBe(1)
})

it("ends at once if the stream was destroyed before, once the caller has the link", async () => {
  const [own, other] = await socketPair()
  own.destroy()
  other.destroy()
  await once(own, "close")
  const link = duplexLink(arenaFor(), own)
  expect(link.end).toBeUndefined()
  await setImmediate()
  expect(link.end).toEqual({ kind: "closed" })
})

it("counts chunks that are no frame, and goes on", async () => {
  const [own, other] = objectPair()
  const link = duplexLink(arenaFor(), own, { framing: "chunk" })
  const stack = new StackEnd(link)
  for (const chunk of ["a text", 7, frameOf(0), frameOf(1_515), frameOf(60, 1)]) other.write(chunk)
  const frames: Uint8Array[] = []
  await until(() => frames.push(...stack.receive()) >= 1)
  expect(frames).toEqual([frameOf(60, 1)])
  expect(link.drops.get("link: not a frame")).toBe(2)
  link.close()
  expect(own.destroyed).toBe(true)
})
