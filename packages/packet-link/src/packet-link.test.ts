import { setImmediate } from "node:timers/promises"
import { Arena, Errno, FrameBatch } from "@demiflow/core"
import { type FrontendUnderTest, frontendCompliance } from "@demiflow/testkit/compliance"
import { describe, expect, it } from "vitest"
import { describePacketLinkEnd, type PacketLinkEnd } from "./link-end.ts"
import { type OtherEnd, PacketLink, type PacketLinkOptions, packetLinkArenaBytes } from "./packet-link.ts"
import { arenaFor, frameOf, StackEnd } from "./test-support.ts"

function setup(mtu: number, room = Number.POSITIVE_INFINITY): FrontendUnderTest {
  let arrived: Uint8Array[] = []
  const link = new PacketLink(
    arenaFor({ mtu }),
    { onFrame: (frame) => arrived.push(frame.slice()), hasRoom: () => arrived.length < room },
    { mtu },
  )
  return {
    link,
    send(frames) {
      for (const frame of frames) link.push(frame)
    },
    receive() {
      const frames = arrived
      arrived = []
      link.resume()
      return frames
    },
    hangUp: () => link.finish({ kind: "closed" }),
  }
}

describe("a link of calls", () => frontendCompliance(() => setup(1_500)))
describe("a link of calls with large frames", () => frontendCompliance(() => setup(65_535)))
describe("a link of calls whose other end has little room", () => frontendCompliance(() => setup(1_500, 5)))

/** A link whose other end records, with room for `room` frames. */
function recorded(options: PacketLinkOptions = {}, parts: Partial<OtherEnd> = {}) {
  const frames: Uint8Array[] = []
  const calls: string[] = []
  const state = { room: Number.POSITIVE_INFINITY }
  const link = new PacketLink(
    arenaFor(options),
    {
      onFrame(frame) {
        frames.push(frame.slice())
        state.room--
      },
      hasRoom: () => state.room > 0,
      awaitRoom: () => calls.push("await room"),
      onRoom: () => calls.push("room"),
      onClose: () => calls.push("close"),
      ...parts,
    },
    {
      onReadable: () => calls.push("readable"),
      onResume: () => calls.push("resume"),
      onEnd: ({ kind }) => calls.push(`end: ${kind}`),
      ...options,
    },
  )
  return { link, frames, calls, state, stack: new StackEnd(link) }
}

describe("frames from the guest", () => {
  it("are announced once until they are taken", () => {
    const { link, calls, stack } = recorded()
    link.push(frameOf(60))
    link.push(frameOf(60))
    expect(calls).toEqual(["readable"])
    expect(stack.receive()).toHaveLength(2)
    link.push(frameOf(60))
    expect(calls).toEqual(["readable", "readable"])
  })

  it("are dropped and counted if no frame has their length", () => {
    const { link, stack } = recorded()
    for (const length of [0, 13, 1_515, 100_000]) expect(link.push(frameOf(length))).toBe(false)
    for (const length of [14, 1_514]) expect(link.push(frameOf(length))).toBe(true)
    expect(stack.receive().map(({ length }) => length)).toEqual([14, 1_514])
    expect(link.drops.entries()).toEqual([
      ["link: shorter than an Ethernet header", 2],
      ["link: longer than the MTU allows", 2],
    ])
  })

  it("are dropped and counted if the queue is full, and the source hears when it has room", async () => {
    const { link, calls, stack } = recorded({ queueBytes: 8 << 10 })
    let pushed = 0
    while (link.hasRoom) if (link.push(frameOf(1_514, ++pushed))) continue
    expect(pushed).toBe(5)
    expect(link.push(frameOf(1_514))).toBe(false)
    expect(link.drops.get("link: queue full")).toBe(1)
    expect(calls).toEqual(["readable"])
    expect(stack.receive().map(([first]) => first)).toEqual([1, 2, 3, 4, 5])
    expect(calls).toEqual(["readable"])
    await setImmediate()
    expect(calls).toEqual(["readable", "room"])
    expect(link.hasRoom).toBe(true)
  })

  it("are still received after the end, and then an error number", () => {
    const { link, calls, stack } = recorded()
    link.push(frameOf(60))
    link.finish({ kind: "truncated" })
    link.finish({ kind: "closed" })
    expect(link.push(frameOf(60))).toBe(false)
    expect(link.end).toEqual({ kind: "truncated" })
    expect(stack.receive()).toHaveLength(1)
    expect(stack.answer).toBe(-Errno.EPIPE)
    expect(calls).toEqual(["readable", "close", "end: truncated", "readable"])
  })
})

it("shows its end while frames wait, and reports it behind them", () => {
  const { link, calls } = recorded()
  const batch = new FrameBatch(4)
  link.push(frameOf(60))
  expect(link.isOver).toBe(false)
  link.finish({ kind: "closed" })
  calls.splice(0)
  expect([link.isOver, link.receive(batch), link.isOver, link.receive(batch)]).toEqual([true, 1, true, -Errno.EPIPE])
  expect(calls).toEqual([])
})

it("fills no queue from within a call that takes frames", async () => {
  const { link, calls } = recorded({ queueBytes: 4 << 10 }, { onRoom: () => link.push(frameOf(60, 9)) })
  const batch = new FrameBatch(4)
  const taken: number[] = []
  link.onReadable = () => {
    while (link.receive(batch) > 0) {
      for (let index = 0; index < batch.count; index++) taken.push(link.arena.bytes[batch.offset[index]])
    }
  }
  const { onReadable } = link
  link.onReadable = () => calls.push("readable")
  for (let fill = 1; link.hasRoom; fill++) link.push(frameOf(1_514, fill))
  link.onReadable = onReadable
  onReadable()
  expect(taken).toEqual([1, 2])
  await setImmediate()
  expect(taken).toEqual([1, 2, 9])
})

describe("frames to the guest", () => {
  it("wait while the other end has no room, and payload with them", () => {
    const { link, frames, calls, state, stack } = recorded()
    state.room = 1
    for (const fill of [1, 2, 3]) expect(stack.send(frameOf(60, fill))).toBe(true)
    expect(link.isCongested).toBe(true)
    expect(calls).toEqual(["await room"])
    state.room = 1
    link.resume()
    expect(calls).toEqual(["await room", "await room"])
    state.room = 1
    link.resume()
    expect(calls).toEqual(["await room", "await room", "resume"])
    expect(link.isCongested).toBe(false)
    expect(frames).toEqual([frameOf(60, 1), frameOf(60, 2), frameOf(60, 3)])
    link.resume()
    expect(calls).toHaveLength(3)
  })

  it("are refused when the backlog is full", () => {
    const { frames, state, stack, link } = recorded({ backlogBytes: 16 << 10 })
    state.room = 0
    let taken = 0
    while (stack.send(frameOf(1_514, taken + 1))) taken++
    expect(taken).toBe(10)
    state.room = Number.POSITIVE_INFINITY
    link.resume()
    expect(frames.map(([first]) => first)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  })

  it("end the link if the other end throws, and are counted", () => {
    const error = new Error("the card is gone")
    const { link, calls, stack } = recorded(
      {},
      {
        onFrame() {
          throw error
        },
      },
    )
    expect(stack.send(frameOf(60))).toBe(true)
    expect(link.end).toEqual({ kind: "failed", error })
    expect(stack.send(frameOf(60))).toBe(true)
    expect(link.drops.get("link: no guest")).toBe(1)
    expect(calls).toEqual(["close", "end: failed", "readable"])
  })

  it("may be answered at once", () => {
    const { link, stack } = recorded({}, { onFrame: (frame) => link.push(frame) })
    stack.send(frameOf(60, 7))
    expect(stack.receive()).toEqual([frameOf(60, 7)])
  })
})

it("closes the other end once, without an end, and drops what waits", () => {
  const { link, calls, stack } = recorded()
  link.push(frameOf(60))
  link.close()
  link.close()
  link.finish({ kind: "closed" })
  expect(link.end).toBeUndefined()
  expect(stack.answer).toBe(-Errno.EPIPE)
  expect(calls).toEqual(["readable", "close"])
})

it("reserves what it says, and throws for sizes that can't be", () => {
  for (const sizes of [{}, { mtu: 68, queueBytes: 128, backlogBytes: 128 }, { mtu: 65_535 }]) {
    const arena = new Arena((packetLinkArenaBytes(sizes) + 63) & -64)
    new PacketLink(arena, { onFrame() {} }, sizes)
    expect(arena.remaining).toBeLessThan(512)
  }
  for (const mtu of [67, 65_536, 1_500.5, Number.NaN]) {
    expect(() => packetLinkArenaBytes({ mtu })).toThrow(`The MTU is ${mtu}: it must be from 68 to 65535`)
  }
  expect(() => packetLinkArenaBytes({ queueBytes: 1_500 })).toThrow("1500 bytes do not hold one frame of 1514")
  expect(() => packetLinkArenaBytes({ backlogBytes: 1_500 })).toThrow(RangeError)
})

it("says why it ended", () => {
  const ends: PacketLinkEnd[] = [
    { kind: "closed" },
    { kind: "truncated" },
    { kind: "failed", error: new Error("reset") },
    { kind: "failed", error: "a text" },
    { kind: "bad length", length: 0 },
  ]
  expect(ends.map(describePacketLinkEnd)).toEqual([
    "the other end closed the connection",
    "the other end closed the connection in the middle of a frame",
    "the connection failed: reset",
    "the connection failed: a text",
    "the other end announced a frame of 0 bytes, which is impossible",
  ])
})

it("has a batch taken in parts", () => {
  const { link } = recorded()
  for (let fill = 1; fill <= 5; fill++) link.push(frameOf(60, fill))
  const batch = new FrameBatch(2)
  const counts = [link.receive(batch), link.receive(batch), link.receive(batch), link.receive(batch)]
  expect(counts).toEqual([2, 2, 1, 0])
  expect(link.isFrameWaiting).toBe(false)
})
