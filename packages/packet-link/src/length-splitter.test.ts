import fc from "fast-check"
import { expect, it } from "vitest"
import { LengthSplitter } from "./length-splitter.ts"
import { frameOf } from "./test-support.ts"

const LONGEST = 100

function splitterOf(room = Number.POSITIVE_INFINITY) {
  const frames: Uint8Array[] = []
  const taker = {
    room,
    get hasRoom() {
      return this.room > 0
    },
    push(frame: Uint8Array) {
      this.room--
      frames.push(frame.slice())
    },
  }
  return { splitter: new LengthSplitter(taker, LONGEST), frames, taker }
}

function streamOf(lengths: readonly number[]): Buffer {
  return Buffer.concat(
    lengths.map((length, index) => {
      const message = Buffer.alloc(4 + length, index + 1)
      message.writeUInt32BE(length)
      return message
    }),
  )
}

it("finds the frames, however the stream is cut and whenever there is room", () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 2 * LONGEST }), { maxLength: 20 })
  const cuts = fc.array(fc.integer({ min: 1, max: 150 }), { minLength: 1, maxLength: 10 })
  fc.assert(
    fc.property(lengths, cuts, fc.integer({ min: 1, max: 3 }), (all, sizes, room) => {
      const { splitter, frames, taker } = splitterOf(room)
      const bytes = streamOf(all)
      for (let at = 0, cut = 0; at < bytes.length; cut++) {
        const size = sizes[cut % sizes.length]
        splitter.feed(new Uint8Array(bytes.subarray(at, at + size)))
        at += size
        while (splitter.isWaiting) {
          expect(taker.room).toBe(0)
          taker.room = room
          splitter.run()
        }
      }
      expect(splitter.isInFrame).toBe(false)
      expect(splitter.badLength).toBe(-1)
      expect(frames).toHaveLength(all.length)
      for (const [index, frame] of frames.entries()) {
        // Of a frame that is too long, only that has to be seen.
        if (all[index] > LONGEST) expect(frame.length).toBeGreaterThan(LONGEST)
        else expect(frame).toEqual(frameOf(all[index], index + 1))
      }
    }),
  )
})

it.each([0, 69_633, 0x7fffffff, 0x80000000, 0xffffffff])("ends the stream at a length of %d", (length) => {
  const { splitter, frames } = splitterOf()
  const bytes = Buffer.concat([streamOf([60]), Buffer.alloc(4), streamOf([60])])
  bytes.writeUInt32BE(length, 64)
  splitter.feed(new Uint8Array(bytes))
  expect(splitter.badLength).toBe(length)
  expect(splitter.isWaiting).toBe(false)
  splitter.run()
  expect(frames).toEqual([frameOf(60, 1)])
})

it("notices that a frame has begun", () => {
  const { splitter } = splitterOf()
  const bytes = new Uint8Array(streamOf([60]))
  for (const [from, to, isInFrame] of [
    [0, 1, true],
    [1, 4, true],
    [4, 63, true],
    [63, 64, false],
  ] as const) {
    splitter.feed(bytes.subarray(from, to))
    expect(splitter.isInFrame).toBe(isInFrame)
  }
})
