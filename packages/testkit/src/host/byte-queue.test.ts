import { expect, it } from "vitest"
import { type SeededRandom, seeds, withSeed } from "../seeded-random.ts"
import { ByteQueue } from "./byte-queue.ts"

it("keeps bytes in order across pieces", () => {
  const queue = new ByteQueue()
  queue.push(Uint8Array.of(1, 2, 3))
  queue.push(new Uint8Array(0))
  queue.push(Uint8Array.of(4, 5))
  expect(queue.length).toBe(5)
  expect(queue.slice(2, 2)).toEqual(Uint8Array.of(3, 4))
  expect(queue.drop(4)).toBe(4)
  expect(queue.slice(0, 10)).toEqual(Uint8Array.of(5))
  expect([queue.drop(10), queue.length]).toEqual([1, 0])
  queue.push(Uint8Array.of(6))
  queue.clear()
  expect([queue.length, queue.slice(0, 1).length]).toEqual([0, 0])
})

it("does what a plain array does", () => {
  for (const seed of seeds(50)) {
    withSeed(seed, (random: SeededRandom) => {
      const queue = new ByteQueue()
      let model: number[] = []
      for (let step = 0; step < 100; step++) {
        if (random.chance(0.5)) {
          const bytes = random.bytes(random.below(20))
          queue.push(bytes)
          model.push(...bytes)
        } else {
          const length = random.below(25)
          expect(queue.drop(length)).toBe(Math.min(length, model.length))
          model = model.slice(length)
        }
        const [skip, length] = [random.below(30), random.below(30)]
        expect([...queue.slice(skip, length)]).toEqual(model.slice(skip, skip + length))
        expect(queue.length).toBe(model.length)
      }
    })
  }
})
