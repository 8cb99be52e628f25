import { constants } from "node:os"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { Driver, Guest, MIB, putRecord, record, take } from "./ring-test-support.ts"
import { arena, native } from "./test-support.ts"

const { EBADF, EFAULT, EINVAL, EMFILE } = constants.errno

/** Where the other program has the region of the rings. */
const USER = 0x7f00_0000_0000n

let guest: Guest
let driver: Driver

beforeEach(() => {
  guest = new Guest()
  driver = new Driver(guest)
})

afterEach(() => {
  driver.close()
  guest.close()
})

describe("opening a ring", () => {
  const openAt = (places: readonly bigint[], values: readonly number[]) => {
    putRecord(...places, 0n)
    for (const [index, value] of values.entries()) arena.view.setInt32(record + 32 + 4 * index, value, true)
    return native.ringOpen(guest.memory, record)
  }
  const places = [USER, USER + 0x1000n, USER + 0x2000n]

  it.each([0, 3, 12, 65_536, 32_769, -1])("refuses %d entries", (entries) => {
    expect(openAt(places, [entries, 0, 0, -1])).toBe(-EINVAL)
  })

  it("refuses a place before the frame for the number of chains", () => {
    expect(openAt(places, [8, 0, 0, -2])).toBe(-EINVAL)
  })

  it("opens one of the largest size, and of the smallest", () => {
    const largest = openAt([USER, USER + 0x80000n, USER + 0xa0000n], [32_768, 0, 0, -1])
    expect(largest).toBeGreaterThanOrEqual(0)
    expect(native.ringClose(largest)).toBe(0)
    const smallest = openAt(places, [1, 0, 0, -1])
    expect(smallest).toBeGreaterThanOrEqual(0)
    expect(native.ringClose(smallest)).toBe(0)
  })

  it("refuses parts that don't lie in one region or aren't aligned", () => {
    const end = USER + BigInt(MIB)
    // Each at the end of the region, and the least too far.
    for (const [index, before, step] of [
      [0, 128n, 16n],
      [1, 22n, 2n],
      [2, 72n, 4n],
    ] as const) {
      expect(openAt(Object.assign([...places], { [index]: end - before }), [8, 0, 0, -1])).toBeGreaterThan(0)
      expect(openAt(Object.assign([...places], { [index]: end - before + step }), [8, 0, 0, -1])).toBe(-EFAULT)
    }
    const outside = [0n, 0x4000n, USER - 16n, end + BigInt(MIB), end - 16n, 2n ** 64n - 16n]
    for (const [index, place] of places.entries()) {
      for (const bad of [...outside, place + 1n]) {
        expect(openAt(Object.assign([...places], { [index]: bad }), [8, 0, 0, -1])).toBe(-EFAULT)
      }
    }
    expect(openAt([USER + 8n, ...places.slice(1)], [8, 0, 0, -1])).toBe(-EFAULT)
    expect(openAt([...places.slice(0, 2), USER + 0x2002n], [8, 0, 0, -1])).toBe(-EFAULT)
  })

  it("opens 256 at most", () => {
    const opened: number[] = []
    for (;;) {
      const ring = openAt(places, [8, 0, 0, -1])
      if (ring === -EMFILE) break
      opened.push(ring)
    }
    expect(Math.max(...opened)).toBe(255)
    for (const ring of opened) expect(native.ringClose(ring)).toBe(0)
  })

  it("leaves no number of a closed ring usable", () => {
    const closed = openAt(places, [8, 0, 0, -1])
    native.ringClose(closed)
    for (const ring of [closed, -1, 256]) {
      expect(take(ring)).toBe(-EBADF)
      expect(native.ringGive(ring, 0, 0)).toBe(-EBADF)
      expect(native.ringArm(ring, 1)).toBe(-EBADF)
      for (const call of ["ringHas", "ringFault", "ringBase", "ringClose"] as const) {
        expect(native[call](ring)).toBe(-EBADF)
      }
      expect(native.ringNotify(ring, -1)).toBe(-EBADF)
    }
  })

  it("refuses frames outside the arena", () => {
    const end = arena.buffer.byteLength
    expect(native.ringTake(driver.ring, end - 63, 64, 64, 1, 0)).toBe(-EFAULT)
    expect(native.ringTake(driver.ring, 0, 64, 64, 2, end - 7)).toBe(-EFAULT)
    for (const [room, longest, maximum] of [
      [64, 65, 1],
      [64, 0, 1],
      [0, 0, 1],
      [64, 64, 0],
      [-1, -1, -1],
    ] as const) {
      expect(native.ringTake(driver.ring, 0, room, longest, maximum, 0)).toBe(-EINVAL)
    }
    expect(native.ringGive(driver.ring, end - 7, 1)).toBe(-EFAULT)
    expect(native.ringGive(driver.ring, 0, 1025)).toBe(-EINVAL)
    expect(native.ringGive(driver.ring, 0, -1)).toBe(-EINVAL)
    arena.view.setInt32(record, end - 10, true)
    arena.view.setInt32(record + 4, 11, true)
    expect(native.ringGive(driver.ring, record, 1)).toBe(-EFAULT)
  })
})
