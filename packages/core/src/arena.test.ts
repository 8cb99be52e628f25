import { describe, expect, test } from "vitest"
import { Arena, ArenaExhaustedError, Vectors } from "./arena.ts"

describe("Arena", () => {
  test("regions are aligned and don't overlap", () => {
    const arena = new Arena(1024)
    expect(arena.reserve(10)).toBe(0)
    expect(arena.reserve(10)).toBe(64)
    expect(arena.reserve(8, 8)).toBe(80)
    expect(arena.reserve(1, 512)).toBe(512)
    expect(arena.remaining).toBe(511)
  })

  test("can be reserved to the last byte and not beyond", () => {
    const arena = new Arena(128)
    arena.reserve(64)
    expect(arena.reserve(64)).toBe(64)
    expect(arena.remaining).toBe(0)
    expect(() => arena.reserve(1)).toThrow(ArenaExhaustedError)
    expect(() => arena.reserve(1)).toThrow(expect.objectContaining({ code: "ERR_ARENA_EXHAUSTED" }))
  })

  test("an error says what asks for how much", () => {
    const arena = new Arena(128)
    const exhausted = (size: number, asker: string) =>
      expect.objectContaining({
        size,
        remaining: 128,
        asker,
        message: `The arena has 128 bytes left, and ${asker} needs ${size}: create it with a larger size`,
      })
    expect(() => arena.reserve(256, 8, "a link")).toThrow(exhausted(256, "a link"))
    expect(() => arena.part(192, "a stack")).toThrow(exhausted(192, "a stack"))
    expect(() => arena.reserve(256)).toThrow("somebody needs 256")
  })

  test("a refused region costs nothing", () => {
    const arena = new Arena(128)
    expect(() => arena.reserve(256)).toThrow(/larger/)
    expect(arena.reserve(128)).toBe(0)
  })

  test("copies overlapping ranges in both directions", () => {
    const arena = new Arena(64)
    arena.bytes.set([1, 2, 3, 4, 5])
    arena.copy(0, 2, 5)
    expect([...arena.bytes.slice(0, 8)]).toEqual([1, 2, 1, 2, 3, 4, 5, 0])
    arena.copy(2, 1, 5)
    expect([...arena.bytes.slice(0, 8)]).toEqual([1, 1, 2, 3, 4, 5, 5, 0])
  })

  test("sums what is in it", () => {
    const arena = new Arena(64)
    arena.bytes.set([0x12, 0x34, 0xff, 0xff], 3)
    expect(arena.sum(3, 4, 1)).toBe(0x1235)
  })

  test("all views show the same memory", () => {
    const arena = new Arena(64)
    arena.words[2] = 0x01020304
    expect(arena.view.getInt32(8, true)).toBe(0x01020304)
    expect(arena.bytes[8]).toBe(4)
  })
})

describe("Vectors", () => {
  test("are pairs of 32-bit words in the arena", () => {
    const arena = new Arena(256)
    arena.reserve(3, 1)
    const vectors = new Vectors(arena, 4)
    expect(vectors.offset % 8).toBe(0)
    vectors.set(0, 100, 20)
    vectors.set(3, 7, 8)
    expect([vectors.offsetAt(0), vectors.lengthAt(0), vectors.offsetAt(3), vectors.lengthAt(3)]).toEqual([
      100, 20, 7, 8,
    ])
    expect([...arena.words.slice(vectors.offset / 4, vectors.offset / 4 + 2)]).toEqual([100, 20])
    expect(arena.remaining).toBe(256 - vectors.offset - 32)
  })
})

describe("a part", () => {
  test("shares the memory, and reserves within its own bounds", () => {
    const arena = new Arena(4096)
    arena.reserve(100)
    const part = arena.part(256)
    const offset = part.reserve(256)
    expect(offset).toBeGreaterThanOrEqual(100)
    part.bytes[offset] = 7
    expect(arena.bytes[offset]).toBe(7)
    expect(() => part.reserve(1)).toThrow(expect.objectContaining({ code: "ERR_ARENA_EXHAUSTED" }))
    expect(arena.remaining).toBe(4096 - 128 - 256)
  })

  test("can be given back, in any order, and reserved again", () => {
    const arena = new Arena(1024)
    const parts = [0, 1, 2, 3].map(() => arena.part(256))
    expect(() => arena.part(64)).toThrow(expect.objectContaining({ code: "ERR_ARENA_EXHAUSTED" }))
    for (const index of [1, 2]) arena.giveBack(parts[index])
    expect(arena.remaining).toBe(0)
    const [larger, smaller] = [arena.part(448), arena.part(64)]
    expect([larger.reserve(448), smaller.reserve(64)]).toEqual([256, 704])
    for (const part of [parts[3], larger, parts[0], smaller]) arena.giveBack(part)
    expect(arena.remaining).toBe(1024)
  })

  test("given back twice, or used after that, takes nothing from another part", () => {
    const arena = new Arena(1024)
    const part = arena.part(256)
    arena.giveBack(part)
    arena.giveBack(part)
    expect(() => part.reserve(1)).toThrow(expect.objectContaining({ code: "ERR_ARENA_EXHAUSTED" }))
    const [first, second] = [arena.part(256), arena.part(256)]
    expect([first.reserve(256), second.reserve(256)]).toEqual([0, 256])
  })
})

describe("an attempt", () => {
  const fail = () => {
    throw new Error("changed its mind")
  }

  test("that throws leaves the arena as it was", () => {
    const arena = new Arena(1024)
    arena.reserve(64)
    const attempt = () =>
      arena.attempt(() => {
        arena.reserve(128)
        arena.giveBack(arena.part(64))
        arena.reserve(64)
        fail()
      })
    expect(attempt).toThrow("changed its mind")
    expect(arena.remaining).toBe(960)
    expect(arena.reserve(960)).toBe(64)
  })

  test("that gives back what was before it, and throws, has given that back", () => {
    const arena = new Arena(1024)
    const part = arena.part(256)
    const attempt = () =>
      arena.attempt(() => {
        const other = arena.part(128)
        arena.reserve(64)
        arena.giveBack(part)
        arena.giveBack(other)
        fail()
      })
    expect(attempt).toThrow("changed its mind")
    expect(arena.remaining).toBe(1024)
    expect([arena.reserve(512), arena.reserve(512)]).toEqual([0, 512])
  })

  test("that succeeds keeps its regions, and returns its result", () => {
    const arena = new Arena(256)
    expect(arena.attempt(() => arena.reserve(128))).toBe(0)
    expect(arena.remaining).toBe(128)
  })
})
