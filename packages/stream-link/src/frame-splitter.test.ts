import { Arena, FrameBatch, Segmentation } from "@demiflow/core"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { FrameSplitter } from "./frame-splitter.ts"
import { isFrameLength, LONGEST_STREAM_FRAME } from "./framing.ts"

const REGION = 4 + LONGEST_STREAM_FRAME
const arena = new Arena(4 << 20)
const splitter = new FrameSplitter(arena, REGION)

function message(frame: Uint8Array, length = frame.length): Buffer {
  const bytes = Buffer.alloc(4 + frame.length)
  bytes.writeUInt32BE(length)
  bytes.set(frame, 4)
  return bytes
}

/** Feeds the bytes in pieces of these sizes, repeatedly. Returns the frames that came out. */
function split(bytes: Uint8Array, sizes: readonly number[], capacity: number): Uint8Array[] {
  const batch = new FrameBatch(capacity)
  const frames: Uint8Array[] = []
  splitter.reset()
  for (let at = 0, turn = 0; at < bytes.length && splitter.badLength < 0; turn++) {
    const room = splitter.makeRoom()
    expect(room).toBeGreaterThan(0)
    const piece = bytes.subarray(at, at + Math.min(room, sizes[turn % sizes.length]))
    arena.bytes.set(piece, splitter.roomOffset)
    splitter.filled(piece.length)
    at += piece.length
    do {
      splitter.take(batch)
      for (let index = 0; index < batch.count; index++) {
        const offset = batch.offset[index]
        frames.push(arena.bytes.slice(offset, offset + batch.length[index]))
      }
    } while (splitter.isWaiting)
  }
  return frames
}

const frames = fc.array(
  fc
    .oneof(fc.integer({ min: 14, max: 200 }), fc.constantFrom(1514, 65_534, LONGEST_STREAM_FRAME))
    .chain((length) => fc.integer({ min: 0, max: 255 }).map((seed) => new Uint8Array(length).fill(seed).fill(7, 0, 3))),
  { maxLength: 12 },
)
const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 10, max: 90_000 })), { minLength: 1 })

describe("FrameSplitter", () => {
  it("gives the frames of a stream, however it is cut and whatever the batch's size", () => {
    fc.assert(
      fc.property(frames, sizes, fc.integer({ min: 1, max: 5 }), (sent, pieces, capacity) => {
        // Single bytes take long: for the large frames, at least one piece is large.
        const cuts = [...pieces, 50_000]
        const received = split(Buffer.concat(sent.map((frame) => message(frame))), cuts, capacity)
        expect(received.length).toBe(sent.length)
        for (const [index, frame] of received.entries()) expect(Buffer.compare(frame, sent[index])).toBe(0)
      }),
      { numRuns: 60 },
    )
  })

  it("describes them as plain", () => {
    const batch = new FrameBatch(1)
    batch.segmentation[0] = Segmentation.udp
    batch.checksumTrusted[0] = 1
    splitter.reset()
    splitter.makeRoom()
    arena.bytes.set(message(new Uint8Array(60)), splitter.roomOffset)
    splitter.filled(64)
    expect(splitter.take(batch)).toBe(1)
    expect([batch.segmentation[0], batch.checksumTrusted[0], batch.length[0]]).toEqual([0, 0, 60])
  })

  it("leaves out what is shorter than an Ethernet header, and counts it", () => {
    const before = splitter.short
    const lengths = [1, 20, 13, 13, 14]
    const stream = Buffer.concat(lengths.map((length) => message(new Uint8Array(length))))
    expect(split(stream, [3], 2).map((frame) => frame.length)).toEqual([20, 14])
    expect(splitter.short - before).toBe(3)
  })

  it.each([0, LONGEST_STREAM_FRAME + 1, 0x7fffffff, 0x80000000, 0xffffffff])("ends at a length of %i", (length) => {
    const good = message(new Uint8Array(60).fill(1))
    const stream = Buffer.concat([good, message(new Uint8Array(8), length), good])
    for (const size of [1, 7, 1_000]) {
      expect(split(stream, [size], 1)).toHaveLength(1)
      expect(splitter.badLength).toBe(length)
      const batch = new FrameBatch(4)
      expect([splitter.take(batch), batch.count, splitter.isWaiting]).toEqual([0, 0, false])
    }
  })

  it("reports a bad length behind a batch that is full", () => {
    splitter.reset()
    splitter.makeRoom()
    arena.bytes.set(Buffer.concat([message(new Uint8Array(60)), Buffer.alloc(4)]), splitter.roomOffset)
    splitter.filled(68)
    const batch = new FrameBatch(1)
    expect([splitter.take(batch), splitter.isWaiting]).toEqual([1, true])
    expect([splitter.take(batch), splitter.isWaiting, splitter.badLength]).toEqual([0, false, 0])
  })

  it("forgets half a frame when another stream begins", () => {
    split(message(new Uint8Array(60)).subarray(0, 30), [30], 4)
    expect(split(message(new Uint8Array(20).fill(9)), [24], 4)).toEqual([new Uint8Array(20).fill(9)])
  })

  it("wants a region for the longest frame", () => {
    expect(() => new FrameSplitter(arena, REGION - 1)).toThrow(RangeError)
  })
})

describe("isFrameLength", () => {
  it("takes what QEMU can send", () => {
    expect([0, 1, 14, LONGEST_STREAM_FRAME, LONGEST_STREAM_FRAME + 1].map(isFrameLength)).toEqual([
      false,
      true,
      true,
      true,
      false,
    ])
  })
})
