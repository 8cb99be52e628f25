import { setImmediate } from "node:timers/promises"
import { Errno } from "@demiflow/core"
import { type FrontendUnderTest, frontendCompliance } from "@demiflow/testkit/compliance"
import { afterEach, describe, expect, it } from "vitest"
import { type FramePort, type MessageLinkOptions, messageLink } from "./message-link.ts"
import type { PacketLink } from "./packet-link.ts"
import { arenaFor, frameOf, StackEnd, until } from "./test-support.ts"

function hear(port: FramePort, take: (message: unknown) => void): void {
  port.addEventListener("message", (event) => take((event as { data: unknown }).data))
  port.start?.()
}

function overMessagePort(mtu: number): FrontendUnderTest {
  const { port1, port2 } = new MessageChannel()
  let arrived: Uint8Array[] = []
  hear(port2, (message) => arrived.push(message as Uint8Array))
  return {
    link: messageLink(arenaFor({ mtu }), port1, { mtu }),
    send(frames) {
      for (const frame of frames) port2.postMessage(frame)
    },
    receive() {
      const frames = arrived
      arrived = []
      return frames
    },
    turn: () => setImmediate(),
    hangUp: () => port2.close(),
    close: () => port2.close(),
  }
}

function overBroadcastChannel(): FrontendUnderTest {
  const name = `packet-link ${crypto.randomUUID()}`
  const [own, other] = [new BroadcastChannel(name), new BroadcastChannel(name)]
  let arrived: Uint8Array[] = []
  hear(other, (message) => arrived.push(message as Uint8Array))
  return {
    link: messageLink(arenaFor(), own),
    send(frames) {
      for (const frame of frames) other.postMessage(frame)
    },
    receive() {
      const frames = arrived
      arrived = []
      return frames
    },
    turn: () => setImmediate(),
    close: () => other.close(),
  }
}

/** Two links, of which the other end belongs to the suite. */
function overWindow(): FrontendUnderTest {
  const { port1, port2 } = new MessageChannel()
  const other = messageLink(arenaFor({}, 2), port2, { window: 8 })
  const end = new StackEnd(other)
  return {
    link: messageLink(arenaFor(), port1, { window: 8 }),
    send(frames) {
      for (const frame of frames) expect(end.send(frame)).toBe(true)
    },
    receive: () => end.receive(),
    turn: () => setImmediate(),
    hangUp: () => other.close(),
    close: () => other.close(),
  }
}

describe("a link over a message port", () => frontendCompliance(() => overMessagePort(1_500)))
describe("a link over a message port with large frames", () => frontendCompliance(() => overMessagePort(65_535)))
describe("a link over a broadcast channel", () => frontendCompliance(overBroadcastChannel))
describe("a link over a message port with a window", () => frontendCompliance(overWindow))

const open: { close(): void }[] = []
afterEach(() => {
  for (const each of open.splice(0)) each.close()
})

function linkAndPort(options: MessageLinkOptions = {}): {
  link: PacketLink
  stack: StackEnd
  port: FramePort & { close(): void }
} {
  const { port1, port2 } = new MessageChannel()
  const link = messageLink(arenaFor(options), port1, options)
  open.push(link, port2)
  return { link, stack: new StackEnd(link), port: port2 }
}

it("counts what is no frame, and goes on", async () => {
  const { link, stack, port } = linkAndPort()
  const messages = ["a text", 7, null, { length: 60 }, new Uint8Array(0), frameOf(1_515)]
  for (const message of messages) port.postMessage(message)
  port.postMessage(frameOf(60, 1))
  port.postMessage(frameOf(60, 2).buffer)
  port.postMessage(new DataView(frameOf(100, 3).buffer, 20, 60))
  const frames: Uint8Array[] = []
  await until(() => frames.push(...stack.receive()) >= 3)
  expect(frames).toEqual([frameOf(60, 1), frameOf(60, 2), frameOf(60, 3)])
  expect(link.drops.get("link: not a frame")).toBe(4)
  expect(link.drops.get("link: shorter than an Ethernet header")).toBe(1)
  expect(link.drops.get("link: longer than the MTU allows")).toBe(1)
})

it("sends no memory but the frame's", async () => {
  const { stack, port } = linkAndPort()
  const arrived: unknown[] = []
  hear(port, (message) => arrived.push(message))
  stack.send(frameOf(60, 9))
  await until(() => arrived.length > 0)
  expect(arrived).toEqual([frameOf(60, 9)])
  expect((arrived[0] as Uint8Array).buffer.byteLength).toBe(60)
})

it("ends when the port does", async () => {
  const ends: string[] = []
  const { link, stack, port } = linkAndPort({ onEnd: ({ kind }) => ends.push(kind) })
  port.postMessage(frameOf(60))
  port.close()
  await until(() => link.end !== undefined)
  expect(stack.receive()).toHaveLength(1)
  expect(stack.answer).toBe(-Errno.EPIPE)
  expect(ends).toEqual(["closed"])
})

describe("a window", () => {
  it("bounds what is on the way, and reports what was taken or dropped", async () => {
    const { link, stack, port } = linkAndPort({ window: 3 })
    const arrived: unknown[] = []
    hear(port, (message) => arrived.push(message))
    for (let fill = 1; fill <= 5; fill++) expect(stack.send(frameOf(60, fill))).toBe(true)
    await until(() => arrived.length >= 3)
    expect(link.isCongested).toBe(true)
    expect(arrived.splice(0)).toEqual([frameOf(60, 1), frameOf(60, 2), frameOf(60, 3)])
    port.postMessage(2)
    await until(() => arrived.length >= 2)
    expect(arrived.splice(0)).toEqual([frameOf(60, 4), frameOf(60, 5)])
    expect(link.isCongested).toBe(false)

    for (const frame of [frameOf(60), frameOf(5), frameOf(60)]) port.postMessage(frame)
    const frames: Uint8Array[] = []
    await until(() => frames.push(...stack.receive()) >= 2)
    await until(() => sum(arrived) === 3)
  })

  it("counts reports of more than was sent", async () => {
    const { link, stack, port } = linkAndPort({ window: 2 })
    stack.send(frameOf(60))
    for (const report of [2, 0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 1]) port.postMessage(report)
    await until(() => link.drops.get("link: not a frame") >= 6)
    await setImmediate()
    expect(link.drops.get("link: not a frame")).toBe(6)
    expect(link.end).toBeUndefined()
  })

  it("loses nothing between two links, however slowly one takes", async () => {
    const { port1, port2 } = new MessageChannel()
    const sizes = { window: 4, queueBytes: 16 << 10 }
    const [first, second] = [messageLink(arenaFor(sizes), port1, sizes), messageLink(arenaFor(sizes), port2, sizes)]
    open.push(first, second)
    const [sender, receiver] = [new StackEnd(first), new StackEnd(second)]
    let sent = 0
    const arrived: number[] = []
    while (arrived.length < 1_000) {
      while (sent < 1_000 && sender.send(frameOf(1_514, sent & 0xff))) sent++
      await setImmediate()
      arrived.push(...receiver.receive().map(([fill]) => fill))
    }
    expect(arrived).toEqual(Array.from({ length: 1_000 }, (_, index) => index & 0xff))
    expect(second.drops.total).toBe(0)
  })

  it("is a number of frames", () => {
    const { port1 } = new MessageChannel()
    for (const window of [-1, 1.5]) {
      expect(() => messageLink(arenaFor(), port1, { window })).toThrow(
        `The window is ${window}: it must be 1 or more frames`,
      )
    }
    port1.close()
  })
})

function sum(reports: readonly unknown[]): number {
  return reports.reduce<number>((total, report) => total + (report as number), 0)
}
