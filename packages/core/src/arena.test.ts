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
