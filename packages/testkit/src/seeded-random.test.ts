import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { SeededRandom, seeds, withSeed } from "./seeded-random.ts"

describe("SeededRandom", () => {
  it("gives the same numbers for the same seed, others for others", () => {
    const draw = (seed: number) => {
      const random = new SeededRandom(seed)
      return Array.from({ length: 20 }, () => random.int32())
    }
    expect(draw(1)).toEqual(draw(1))
    expect(draw(1)).not.toEqual(draw(2))
    expect(draw(-1)).toEqual(draw(0xffffffff))
  })

  it("spreads evenly over all 32 bits, within bounds", () => {
    const random = new SeededRandom(3)
    const ones = new Array<number>(32).fill(0)
    for (let draw = 0; draw < 4_000; draw++) {
      const number = random.int32()
      expect(number).toBe(number | 0)
      for (let bit = 0; bit < 32; bit++) ones[bit] += (number >>> bit) & 1
    }
    for (const count of ones) expect(Math.abs(count - 2_000)).toBeLessThan(200)
    const faces = new Array<number>(7).fill(0)
    for (let draw = 0; draw < 6_000; draw++) faces[random.between(1, 6)]++
    expect(faces[0]).toBe(0)
    for (const count of faces.slice(1)) expect(Math.abs(count - 1_000)).toBeLessThan(150)
  })

  it("keeps the extremes of chance", () => {
    const random = new SeededRandom(4)
    const draws = Array.from({ length: 1_000 }, () => [random.chance(0), random.chance(1), random.below(1)])
    expect(draws.every(([never, always, zero]) => !never && always && zero === 0)).toBe(true)
    expect(random.below(0)).toBe(0)
    expect(random.bytes(33)).toHaveLength(33)
  })

  it("forks into generators that don't disturb each other", () => {
    const first = new SeededRandom(5)
    const fork = first.fork()
    const second = new SeededRandom(5)
    second.fork()
    fork.int32()
    expect(first.int32()).toBe(second.int32())
  })
})

describe("seeds", () => {
  const { env } = process
  let before: string | undefined

  beforeEach(() => {
    before = env.DEMIFLOW_SEED
    delete env.DEMIFLOW_SEED
  })

  afterEach(() => {
    if (before === undefined) delete env.DEMIFLOW_SEED
    else env.DEMIFLOW_SEED = before
  })

  it("are as many as asked for, or those of the environment", () => {
    expect(seeds(3)).toEqual([1, 2, 3])
    expect(seeds(2, 10)).toEqual([10, 11])
    env.DEMIFLOW_SEED = "77,0x10"
    expect(seeds(1_000)).toEqual([77, 16])
  })

  it("are named by what fails", () => {
    const failing = () =>
      withSeed(42, () => {
        throw new RangeError("too far")
      })
    expect(failing).toThrow(RangeError)
    expect(failing).toThrow("too far\nRun it again with DEMIFLOW_SEED=42")
    expect(withSeed(42, (random) => random.seed)).toBe(42)
  })
})
