import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { Arena, Errno } from "@demiflow/core"
import { afterEach, describe, expect, it, vi } from "vitest"
import { ArenaAttachedError, attachArena, attachedArena } from "./attach.ts"
import { MonotonicClock } from "./clock.ts"
import { SystemRandom } from "./random.ts"
import { arena, native } from "./test-support.ts"

const EFAULT = 14

describe("clock", () => {
  afterEach(() => vi.restoreAllMocks())

  it("stands still between turns, counts whole milliseconds, and keeps the microseconds", () => {
    const times = [1_000_500, 1_001_499, 1_001_500, 1_003_999.5]
    vi.spyOn(native, "storeMonotonic").mockImplementation((offset) => {
      arena.view.setFloat64(offset, times.shift() ?? 0, true)
      return 0
    })
    const clock = new MonotonicClock(native, arena)
    expect(clock.now).toBe(0)
    expect(clock.advance()).toBe(0)
    expect(clock.advance()).toBe(1)
    expect(clock.now).toBe(1)
    expect(clock.advance()).toBe(3)
    expect(clock.microseconds).toBe(3499.5)
  })

  it("says how long the turn has taken, also where the lowest bits begin anew", () => {
    vi.spyOn(native, "storeMonotonic").mockImplementation((offset) => {
      arena.view.setFloat64(offset, 2 ** 40 - 1_000, true)
      return 0
    })
    const clock = new MonotonicClock(native, arena)
    clock.advance()
    vi.spyOn(native, "monotonicWord").mockReturnValue(500)
    expect(clock.spent()).toBe(1_500)
  })
})

describe("random numbers", () => {
  it("are 32-bit integers that differ, beyond what is fetched at once", () => {
    const random = new SystemRandom(native, arena)
    const numbers = Array.from({ length: 3000 }, () => random.int32())
    expect(numbers.every((number) => number === (number | 0))).toBe(true)
    expect(new Set(numbers).size).toBeGreaterThan(2990)
    expect(numbers.filter((number) => number < 0).length).toBeGreaterThan(1000)
  })

  it("don't stay in memory", () => {
    const random = new SystemRandom(native, arena)
    const first = random.int32()
    expect(arena.words.includes(first)).toBe(false)
  })
})

describe("memory that is or can become somebody else's", () => {
  it.each([
    ["a resizable buffer", `const result = native.attach(new ArrayBuffer(64, { maxByteLength: 128 }))`, -Errno.EINVAL],
    [
      "a transferred buffer",
      `const arena = new ArrayBuffer(1 << 20)
       native.attach(arena)
       structuredClone(arena, { transfer: [arena] })
       gc()
       const result = native.copy(0, 1024, 1000)`,
      -EFAULT,
    ],
  ])("is no arena: %s", (_what, script, expected) => {
    const addon = fileURLToPath(new URL("../build/demiflow.node", import.meta.url))
    const whole = `const native = require(${JSON.stringify(addon)}); ${script}; console.log(result)`
    const { stdout, signal } = spawnSync(process.execPath, ["--expose-gc", "-e", whole], { encoding: "utf8" })
    expect([stdout, signal]).toEqual([`${expected}\n`, null])
  })
})

describe("the arena of a thread", () => {
  it("is one", () => {
    expect(attachedArena()).toBe(arena)
    expect(attachArena(arena)).toBe(native)
    expect(() => attachArena(new Arena(64))).toThrow(ArenaAttachedError)
  })
})
