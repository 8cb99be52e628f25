import { setImmediate } from "node:timers/promises"
import { Drops, FrameBatch } from "@demiflow/core"
import { type FrontendUnderTest, frontendCompliance } from "@demiflow/testkit/compliance"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { FRAME_LENGTH_BYTES, LONGEST_STREAM_FRAME } from "./framing.ts"
import { describeStreamEnd } from "./stream-errors.ts"
import { StreamLink, type StreamLinkOptions, streamLinkArenaBytes } from "./stream-link.ts"
import {
  arena,
  concatenate,
  framed,
  framesOf,
  isClosed,
  limitSendBuffer,
  native,
  numberedFrame,
  OtherEnd,
  socketPair,
} from "./test-support.ts"

const batch = new FrameBatch(16)
const region = arena.reserve(4 << 20)
const drops = new Drops()
const SMALL = { backlogBytes: 80_000, receiveBytes: 80_000, drops }
/** One link for all tests but those of compliance: as in use, it outlives the hypervisors. */
const link = new StreamLink(native, arena, SMALL)
let other: OtherEnd

beforeEach(() => {
  const [own, others] = socketPair()
  link.attach(own)
  other = new OtherEnd(others)
})
afterEach(() => {
  link.close()
  other.close()
  link.onWaiting = undefined
})

/** Puts frames into a batch, ready to be sent. */
function put(frames: readonly Uint8Array[]): FrameBatch {
  const batch = new FrameBatch(frames.length)
  let at = region
  for (const [index, frame] of frames.entries()) {
    at += FRAME_LENGTH_BYTES
    arena.bytes.set(frame, at)
    batch.setPlain(index, at, frame.length)
    at += frame.length
  }
  batch.count = frames.length
  return batch
}

function sendAll(frames: readonly Uint8Array[]): number {
  return link.send(put(frames), 0, frames.length)
}

function numbered(count: number, length: number, from = 0): Uint8Array[] {
  return Array.from({ length: count }, (_, index) => numberedFrame(from + index, length))
}

function receiveAll(): Uint8Array[] {
  const frames: Uint8Array[] = []
  while (link.receive(batch) > 0) frames.push(...framesOf(batch))
  return frames
}

function complianceSetup(options: StreamLinkOptions, isSlow: boolean): FrontendUnderTest {
  const [own, others] = socketPair()
  const link = new StreamLink(native, arena, options)
  link.attach(own)
  if (isSlow) limitSendBuffer(own, 4_096)
  const other = new OtherEnd(others)
  return {
    link,
    send(frames) {
      for (const frame of frames) other.write(framed(frame))
    },
    receive: () => other.read(isSlow ? 3_001 : undefined),
    turn() {
      other.push()
      link.drain()
      return setImmediate()
    },
    hangUp: () => other.close(),
    close: () => void (isClosed(others) || other.close()),
  }
}

describe("a stream link whose other end keeps up", () => {
  frontendCompliance(() => complianceSetup({ backlogBytes: 200_000 }, false))
})
describe("a stream link whose other end reads slowly", () => {
  frontendCompliance(() => complianceSetup({ backlogBytes: 80_000, mtu: 1_500 }, true))
})

describe("a stream link, receiving", () => {
  it("hands frames out in place, as many as the batch takes, and says that more wait", () => {
    const frames = numbered(40, 100)
    other.write(concatenate(frames.map((frame) => framed(frame))))
    expect(link.isFrameWaiting).toBe(false)
    expect([link.receive(batch), link.isFrameWaiting]).toEqual([16, true])
    expect(framesOf(batch)).toEqual(frames.slice(0, 16))
    expect([link.receive(batch), link.isFrameWaiting]).toEqual([16, true])
    expect([link.receive(batch), link.isFrameWaiting]).toEqual([8, false])
    expect(framesOf(batch)).toEqual(frames.slice(32))
    expect(link.receive(batch)).toBe(0)
  })

  it("waits for the rest of a frame", () => {
    const frame = numberedFrame(1, 900)
    const bytes = framed(frame)
    for (const [from, to] of [
      [0, 2],
      [2, 5],
      [5, 903],
    ]) {
      other.write(bytes.subarray(from, to))
      expect(link.receive(batch)).toBe(0)
    }
    other.write(bytes.subarray(903))
    expect(receiveAll()).toEqual([frame])
  })

  it("receives the longest frame that there is", () => {
    const frames = numbered(3, LONGEST_STREAM_FRAME)
    for (const frame of frames) other.write(framed(frame))
    const received: Uint8Array[] = []
    while (received.length < 3) {
      received.push(...receiveAll())
      other.push()
    }
    for (const [index, frame] of received.entries()) expect(Buffer.compare(frame, frames[index])).toBe(0)
  })

  it("counts what is shorter than an Ethernet header, and goes on", () => {
    const before = drops.get("link: shorter than an Ethernet header")
    other.write(concatenate([framed(new Uint8Array(13)), framed(numberedFrame(1, 60)), framed(new Uint8Array(1))]))
    expect(receiveAll()).toEqual([numberedFrame(1, 60)])
    expect(drops.get("link: shorter than an Ethernet header") - before).toBe(2)
    expect(link.end).toBe(undefined)
  })

  it.each([0, LONGEST_STREAM_FRAME + 1, 0xffffffff])("ends at a length of %i, after the frames in front", (length) => {
    other.write(concatenate([framed(numberedFrame(1, 60)), framed(new Uint8Array(20), length)]))
    expect(link.receive(batch)).toBe(1)
    expect(link.end).toBe(undefined)
    expect(link.isFrameWaiting).toBe(true)
    expect(link.receive(batch)).toBeLessThan(0)
    expect(link.end).toEqual({ kind: "bad length", length })
    expect(link.receive(batch)).toBeLessThan(0)
    expect(link.isFrameWaiting).toBe(false)
    expect(describeStreamEnd({ kind: "bad length", length })).toBe(
      `the hypervisor announced a frame of ${length} bytes, and 1 to 69632 are possible`,
    )
  })

  it("reports that the other end closed, after its last frame and also in the middle of one", () => {
    for (const rest of [0, 10]) {
      const [own, others] = socketPair()
      link.attach(own)
      const leaving = new OtherEnd(others)
      leaving.write(concatenate([framed(numberedFrame(1, 60)), framed(numberedFrame(2, 60)).subarray(0, rest)]))
      leaving.close()
      expect(link.receive(batch)).toBe(1)
      expect(link.receive(batch)).toBeLessThan(0)
      expect(link.end).toEqual({ kind: "closed" })
    }
    expect(describeStreamEnd({ kind: "closed" })).toBe("the hypervisor closed the connection")
  })

  it.each([12, 105])("goes on after a read for which there was no memory (%i)", (errno) => {
    other.write(framed(numberedFrame(1, 60)))
    const receiveVectors = vi.spyOn(native, "receiveVectors").mockReturnValueOnce(-errno)
    expect([link.receive(batch), link.end]).toEqual([0, undefined])
    expect([link.receive(batch), link.end]).toEqual([1, undefined])
    receiveVectors.mockRestore()
  })

  it("reports that the connection failed, if the other end goes without having read", () => {
    const [own, others] = socketPair()
    link.attach(own)
    sendAll(numbered(1, 60))
    native.close(others)
    expect(link.receive(batch)).toBeLessThan(0)
    expect(link.end).toEqual({ kind: "failed", errno: 104 })
    expect(describeStreamEnd({ kind: "failed", errno: 104 })).toBe("the connection failed: connection reset by peer")
  })
})

describe("a stream link, sending", () => {
  it("sends many frames with one call", () => {
    const frames = numbered(2_500, 60)
    const calls = countCalls("sendVectors", () => expect(sendAll(frames)).toBe(frames.length))
    expect(calls).toBe(3)
    expect(other.read()).toEqual(frames)
    expect(link.isCongested).toBe(false)
  })

  it("is congested while something waits, and reports it to the loop once", () => {
    let reported = 0
    link.onWaiting = () => reported++
    limitSendBuffer(link.descriptor, 4_096)
    const frames = numbered(20, 1_000)
    expect(sendAll(frames)).toBe(20)
    expect([link.isCongested, reported]).toEqual([true, 1])
    expect(link.drain()).toBe(false)
    const more = numbered(3, 500, 20)
    expect(sendAll(more)).toBe(3)
    const arrived: Uint8Array[] = []
    while (!link.drain()) arrived.push(...other.read(777))
    arrived.push(...other.read())
    expect(arrived).toEqual([...frames, ...more])
    expect([link.isCongested, reported]).toEqual([false, 1])
  })

  it("takes no more than there is room for, and only whole frames", () => {
    limitSendBuffer(link.descriptor, 4_096)
    const frames = numbered(200, 1_000)
    const taken = sendAll(frames)
    expect(taken).toBeGreaterThan(80)
    expect(taken).toBeLessThan(100)
    expect(link.send(put(frames.slice(taken)), 0, 1)).toBe(0)
    const arrived: Uint8Array[] = []
    while (!link.drain()) arrived.push(...other.read())
    arrived.push(...other.read())
    expect(arrived).toEqual(frames.slice(0, taken))
    expect(other.partial).toBe(0)
    expect(sendAll(frames.slice(taken, taken + 2))).toBe(2)
    expect(other.read()).toEqual(frames.slice(taken, taken + 2))
  })

  it("finds out that nobody reads any longer: what it is given is lost, and counted", () => {
    let reported = 0
    link.onWaiting = () => reported++
    limitSendBuffer(link.descriptor, 4_096)
    sendAll(numbered(20, 1_000))
    const [own, others] = socketPair()
    link.attach(own)
    native.close(others)
    const before = drops.get("link: no guest")
    expect(sendAll(numbered(5, 100))).toBe(5)
    expect(drops.get("link: no guest") - before).toBe(5)
    expect(link.end).toEqual({ kind: "failed", errno: 32 })
    expect([link.isCongested, link.drain(), reported]).toEqual([false, true, 2])
    expect(link.receive(batch)).toBeLessThan(0)
  })
})

describe("a stream link without anybody attached", () => {
  it("receives nothing, and drops what it is given", () => {
    const descriptor = link.detach()
    const before = drops.get("link: no guest")
    expect(link.receive(batch)).toBe(0)
    expect(sendAll(numbered(7, 100))).toBe(7)
    expect(drops.get("link: no guest") - before).toBe(7)
    expect([link.descriptor, link.isCongested, link.isFrameWaiting, link.end]).toEqual([-1, false, false, undefined])
    expect(isClosed(descriptor)).toBe(false)
    native.close(descriptor)
    expect(link.detach()).toBe(-1)
  })

  it("knows nothing of the hypervisor before when another one is attached", () => {
    limitSendBuffer(link.descriptor, 4_096)
    sendAll(numbered(20, 1_000))
    other.write(concatenate([...numbered(30, 60).map((frame) => framed(frame)), framed(numberedFrame(1, 60)).slice(9)]))
    link.receive(batch)
    const before = link.descriptor
    const [own, others] = socketPair()
    link.attach(own)
    expect(isClosed(before)).toBe(true)
    const next = new OtherEnd(others)
    expect([link.isCongested, link.isFrameWaiting, link.receive(batch)]).toEqual([false, false, 0])
    sendAll(numbered(2, 80, 50))
    expect(next.read()).toEqual(numbered(2, 80, 50))
    next.write(framed(numberedFrame(9, 60)))
    expect(receiveAll()).toEqual([numberedFrame(9, 60)])
    next.close()
  })
})

it("reserves no more of the arena than it says", () => {
  const before = arena.remaining
  new StreamLink(native, arena, SMALL)
  expect(before - arena.remaining).toBeLessThanOrEqual(streamLinkArenaBytes(SMALL))
})

/** Counts the calls of the addon's function while `work` runs. */
function countCalls(name: "sendVectors", work: () => void): number {
  const original = native[name]
  let calls = 0
  const { native: counting } = { native: native as { sendVectors: typeof original } }
  counting[name] = (...parameters) => {
    calls++
    return original(...parameters)
  }
  work()
  counting[name] = original
  return calls
}
