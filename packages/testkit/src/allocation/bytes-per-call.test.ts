import { expect, test } from "vitest"
import { bytesPerCall, type Heap } from "./bytes-per-call.ts"

/** A heap that a test fills, and that is collected when it exceeds its size. */
class SmallHeap implements Heap {
  bytes = 0
  collections = 0
  readonly #room: number

  constructor(room = Number.POSITIVE_INFINITY) {
    this.#room = room
  }

  take(bytes: number): void {
    this.bytes += bytes
    if (this.bytes > this.#room) this.bytes = 0
  }

  used(): number {
    return this.bytes
  }

  collect(): void {
    this.collections++
    this.bytes = 0
  }
}

test("what every call takes is counted", () => {
  const heap = new SmallHeap()
  expect(bytesPerCall(heap, () => heap.take(32))).toBe(32)
})

test("nothing is nothing, and needs no second attempt", () => {
  const heap = new SmallHeap()
  expect(bytesPerCall(heap, () => {})).toBe(0)
  expect(heap.collections).toBe(1)
})

test("what is taken until code is optimised doesn't count", () => {
  const heap = new SmallHeap()
  let calls = 0
  expect(bytesPerCall(heap, () => heap.take(++calls < 30_000 ? 16 : 0))).toBe(0)
})

test("a run in which a collection came counts for nothing", () => {
  // The heap is full once in a run and a quarter, and emptied before each run: so it is collected in the measured run.
  const heap = new SmallHeap(16 * 7_500)
  expect(bytesPerCall(heap, () => heap.take(16))).toBe(Number.POSITIVE_INFINITY)
})
