import { Arena, FrameBatch } from "@demiflow/core"
import fc from "fast-check"
import { expect, it } from "vitest"
import { FrameQueue, frameQueueBytes, slotBytes } from "./frame-queue.ts"

const LONGEST = 1_514

function queueOf(limit: number): { queue: FrameQueue; arena: Arena } {
  const arena = new Arena(frameQueueBytes(limit, limit, LONGEST) + 64)
  return { arena, queue: new FrameQueue(arena, limit, limit, LONGEST) }
}

it("keeps frames that wait or are handed out, whatever is added and taken", () => {
  const action = fc.oneof(fc.integer({ min: 1, max: LONGEST }), fc.constant("take" as const))
  const limits = fc.integer({ min: slotBytes(LONGEST), max: 5 * slotBytes(LONGEST) })
  fc.assert(
    fc.property(limits, fc.array(action, { maxLength: 200 }), (limit, actions) => {
      const { arena, queue } = queueOf(limit)
      const batch = new FrameBatch(3)
      const waiting: { length: number; fill: number }[] = []
      let held: { length: number; fill: number; offset: number }[] = []
      let number = 0
      let bytes = 0
      for (const step of actions) {
        if (step === "take") {
          queue.take(batch)
          held = Array.from({ length: batch.count }, (_, index) => {
            const frame = waiting.shift()
            if (frame === undefined) throw new Error("The queue has more frames than were added")
            bytes -= slotBytes(frame.length)
            expect(batch.length[index]).toBe(frame.length)
            return { ...frame, offset: batch.offset[index] }
          })
          expect(batch.count === batch.capacity || waiting.length === 0).toBe(true)
        } else {
          const fits = bytes + slotBytes(step) <= limit
          expect(queue.hasRoom(step)).toBe(fits)
          const offset = queue.add(step)
          expect(offset >= 0).toBe(fits)
          if (!fits) continue
          const fill = ++number & 0xff
          arena.bytes.fill(fill, offset, offset + step)
          waiting.push({ length: step, fill })
          bytes += slotBytes(step)
        }
        for (const { offset, length, fill } of held) {
          expect(arena.bytes.subarray(offset, offset + length).every((byte) => byte === fill)).toBe(true)
        }
      }
    }),
  )
})

it("forgets what waited when it is cleared", () => {
  const { queue } = queueOf(4 * slotBytes(LONGEST))
  for (let round = 0; round < 20; round++) {
    queue.add(100)
    queue.add(LONGEST)
    queue.clear()
    expect(queue.isEmpty).toBe(true)
    queue.add(77)
    expect(queue.shift()).toBe(true)
    expect(queue.length).toBe(77)
    expect(queue.shift()).toBe(false)
  }
})
