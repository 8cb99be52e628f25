import { spawnSync } from "node:child_process"
import { closeSync, ftruncateSync, openSync, readFileSync, readSync, writeSync } from "node:fs"
import { constants } from "node:os"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { fileBeside } from "./native.ts"
import { RingFlag } from "./ring-constants.ts"
import { Driver, Guest, give, high, KIB, low, MIB, openFile, putRecord, recordOf, take } from "./ring-test-support.ts"
import { arena, native } from "./test-support.ts"

const { EACCES, EBADF, EFAULT, EINVAL, EMFILE, ENOENT, ENOSPC } = constants.errno
const PAGE = 4096

/** Ranges of addresses at which this process has mapped a file. */
function mapsOf(file: number): string[] {
  const inode = /ino:\t(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${file}`, "utf8"))?.[1]
  return readFileSync("/proc/self/maps", "utf8")
    .split("\n")
    .filter((line) => line.includes("demiflow-rings") && line.split(/\s+/)[4] === inode)
}

describe("numbers of memories", () => {
  it("are 64 at most, and are used again", () => {
    const numbers: number[] = []
    for (;;) {
      const number = native.memoryCreate()
      if (number === -EMFILE) break
      numbers.push(number)
    }
    expect(numbers).toHaveLength(64)
    const [first = -1] = numbers
    native.memoryClose(first)
    expect(native.memoryCreate()).toBe(first)
    for (const number of numbers) expect(native.memoryClose(number)).toBe(0)
  })

  it("are of no use once they are closed, or never were", () => {
    const closed = native.memoryCreate()
    native.memoryClose(closed)
    for (const memory of [closed, -1, 64, 1_000_000]) {
      expect(native.memoryAdd(memory, 0, 0)).toBe(-EBADF)
      expect(native.memoryRemove(memory, 0)).toBe(-EBADF)
      expect(native.memoryLog(memory, -1, 0)).toBe(-EBADF)
      expect(native.memoryClear(memory)).toBe(-EBADF)
      expect(native.memoryClose(memory)).toBe(-EBADF)
      expect(native.ringOpen(memory, 0)).toBe(-EBADF)
    }
  })
})

describe("regions", () => {
  let memory = -1
  let file = -1

  beforeEach(() => {
    memory = native.memoryCreate()
    file = openFile(MIB)
  })

  afterEach(() => {
    native.memoryClose(memory)
    closeSync(file)
  })

  const add = (address: number | bigint, bytes: number | bigint, user: number | bigint, offset: number | bigint) =>
    native.memoryAdd(memory, file, putRecord(BigInt(address), BigInt(bytes), BigInt(user), BigInt(offset)))

  it("are mapped from their file, whose descriptor isn't needed any more, and unmapped with the memory", () => {
    expect(add(0, 64 * KIB, 0, 0)).toBe(0)
    expect(add(MIB, 64 * KIB, MIB, 64 * KIB)).toBe(0)
    expect(mapsOf(file)).toHaveLength(2)
    native.memoryClear(memory)
    expect(mapsOf(file)).toHaveLength(0)
    expect(add(0, 64 * KIB, 0, 0)).toBe(0)
    native.memoryClose(memory)
    expect(mapsOf(file)).toHaveLength(0)
    memory = native.memoryCreate()
  })

  it.each<[title: string, values: Parameters<typeof add>]>([
    ["empty", [0, 0, 0, 0]],
    ["beyond the last address of the guest", [2n ** 64n - 4096n, 4097, 0, 0]],
    ["beyond the last address of the other program", [0, 4097, 2n ** 64n - 4096n, 0]],
    ["longer than its file", [0, MIB + 1, 0, 0]],
    ["behind the end of its file", [0, 1, 0, MIB]],
    ["as long as can be", [0, 2n ** 64n - 1n, 0, 0]],
    ["at an offset that wraps", [0, PAGE, 0, 2n ** 64n - 4096n]],
  ])("are refused: %s", (_, values) => {
    expect(add(...values)).toBe(-EINVAL)
    expect(mapsOf(file)).toHaveLength(0)
  })

  it("may end at the last address", () => {
    expect(add(2n ** 64n - 4096n, PAGE, 2n ** 64n - 4096n, 0)).toBe(0)
  })

  it("don't overlap, by either address", () => {
    expect(add(0x10000, 0x4000, 0x80000, 0)).toBe(0)
    for (const [from, to] of [
      [0x10000, 0x14000],
      [0x0f000, 0x10001],
      [0x13fff, 0x20000],
      [0x11000, 0x12000],
      [0x0f000, 0x20000],
    ] as const) {
      expect(add(from, to - from, 0x200000, 0)).toBe(-EINVAL)
      expect(add(0x200000, to - from, from + 0x70000, 0)).toBe(-EINVAL)
    }
    expect(add(0x0f000, 0x1000, 0x7f000, 0)).toBe(0)
    expect(add(0x14000, 0x1000, 0x84000, 0)).toBe(0)
  })

  it("are 512 at most", () => {
    for (let index = 0; index < 512; index++) expect(add(index * PAGE, PAGE, index * PAGE, 0)).toBe(0)
    expect(add(MIB * 16, PAGE, MIB * 16, 0)).toBe(-ENOSPC)
    expect(native.memoryRemove(memory, putRecord(0n, 4096n, 0n))).toBe(0)
    expect(add(MIB * 16, PAGE, MIB * 16, 0)).toBe(0)
  })

  it("are removed by their exact addresses and length", () => {
    const region = { address: 0x10000, bytes: 0x4000, user: 0x80000, offset: 0 }
    expect(add(0x10000, 0x4000, 0x80000, 0)).toBe(0)
    for (const other of [{ address: 0x10001 }, { bytes: 0x3000 }, { user: 0x80001 }]) {
      expect(native.memoryRemove(memory, putRecord(...recordOf({ ...region, ...other })))).toBe(-ENOENT)
    }
    expect(native.memoryRemove(memory, putRecord(...recordOf(region)))).toBe(0)
    expect(native.memoryRemove(memory, putRecord(...recordOf(region)))).toBe(-ENOENT)
    expect(mapsOf(file)).toHaveLength(0)
  })

  it("need a descriptor for reading and writing, and a record in the arena", () => {
    putRecord(0n, 4096n, 0n, 0n)
    const reading = openSync(`/proc/self/fd/${file}`, "r")
    expect(native.memoryAdd(memory, reading, putRecord(0n, 4096n, 0n, 0n))).toBe(-EACCES)
    closeSync(reading)
    expect(native.memoryAdd(memory, -1, putRecord(0n, 4096n, 0n, 0n))).toBe(-EBADF)
    for (const offset of [-1, arena.buffer.byteLength - 31]) {
      expect(native.memoryAdd(memory, file, offset)).toBe(-EFAULT)
      expect(native.memoryRemove(memory, offset)).toBe(-EFAULT)
    }
    expect(native.memoryLog(memory, file, arena.buffer.byteLength - 15)).toBe(-EFAULT)
  })

  it("begin at any byte of their file", () => {
    const guest = new Guest([{ address: 0x5000, user: 0x9000, bytes: 256 * KIB, offset: 0x1230 }])
    const driver = new Driver(guest, { at: 0x5000 })
    guest.write(0x25001, Buffer.from("at an odd place"))
    driver.offer({ address: 0x25001, length: 15 })
    expect(take(driver.ring)).toEqual([Buffer.from("at an odd place")])
    driver.close()
    guest.close()
  })
})

describe("the log of written pages", () => {
  const BYTES = MIB / PAGE / 8
  let guest: Guest
  let log = -1

  beforeEach(() => {
    guest = new Guest()
    log = openFile(2 * PAGE)
  })

  afterEach(() => {
    guest.close()
    closeSync(log)
  })

  /** Pages whose bit is set, and clears the bits. */
  function pages(): number[] {
    const bits = Buffer.alloc(2 * PAGE)
    readSync(log, bits, 0, bits.length, 0)
    writeSync(log, Buffer.alloc(bits.length), 0, bits.length, 0)
    return [...bits.keys()].flatMap((byte) =>
      [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => ((bits[byte] ?? 0) >> bit) & 1).map((bit) => byte * 8 + bit),
    )
  }

  const setLog = (bytes: number, offset = 0) =>
    native.memoryLog(guest.memory, log, putRecord(BigInt(bytes), BigInt(offset)))

  it("has the pages that a frame was written to", () => {
    expect(setLog(BYTES)).toBe(0)
    const driver = new Driver(guest, { flags: RingFlag.log })
    driver.offer({ address: 0x20ff0, length: 16, flags: 2 }, { address: 0x40fff, length: PAGE + 2, flags: 2 })
    expect(give(driver.ring, Buffer.alloc(16 + PAGE + 2, 1)).count).toBe(1)
    expect(pages()).toEqual([0x20, 0x40, 0x41, 0x42])
    driver.offer({ address: 0x20ff0, length: 1000, flags: 2 })
    expect(give(driver.ring, Buffer.alloc(16, 1)).count).toBe(1)
    expect(pages()).toEqual([0x20])
    driver.close()
  })

  it("has those of the used ring, by the address that the caller gives", () => {
    expect(setLog(BYTES)).toBe(0)
    const driver = new Driver(guest, { flags: RingFlag.logUsed, entries: 1024 })
    driver.offer({ address: 0x20000, length: 16 })
    expect(take(driver.ring)).toHaveLength(1)
    expect(pages()).toEqual([0x9])
    native.ringArm(driver.ring, 0)
    expect(pages()).toEqual([0x9])
    driver.close()
    const later = new Driver(guest, { flags: RingFlag.logUsed | RingFlag.eventIndex, entries: 1024, first: 1000 })
    native.ringArm(later.ring, 1)
    expect(pages()).toEqual([0xb])
    later.offer({ address: 0x20000, length: 16 })
    expect(take(later.ring)).toHaveLength(1)
    expect(pages()).toEqual([0x9, 0xa])
    later.close()
  })

  it("has nothing without the flags, or once it has ended", () => {
    expect(setLog(BYTES)).toBe(0)
    const silent = new Driver(guest)
    silent.offer({ address: 0x20000, length: 16, flags: 2 })
    expect(give(silent.ring, Buffer.alloc(16)).count).toBe(1)
    silent.close()
    expect(native.memoryLog(guest.memory, -1, -1)).toBe(0)
    const driver = new Driver(guest, { flags: RingFlag.log | RingFlag.logUsed })
    driver.offer({ address: 0x20000, length: 16, flags: 2 })
    expect(give(driver.ring, Buffer.alloc(16)).count).toBe(1)
    driver.close()
    expect(pages()).toEqual([])
  })

  it("leaves out what it is too short for", () => {
    expect(setLog(4, 4000)).toBe(0)
    const driver = new Driver(guest, { flags: RingFlag.log | RingFlag.logUsed })
    for (const address of [0x1f000, 0x20000, high.address + 0x100]) driver.offer({ address, length: 64, flags: 2 })
    expect(give(driver.ring, ...[1, 2, 3].map(() => Buffer.alloc(64))).count).toBe(3)
    driver.close()
    expect(pages()).toEqual([9, 0x1f].map((page) => page + 4000 * 8))
  })

  it("is refused when empty or longer than its file", () => {
    expect(setLog(0)).toBe(-EINVAL)
    expect(setLog(2 * PAGE + 1)).toBe(-EINVAL)
  })
})

describe("memory that the other program truncates", () => {
  it.each([
    ["while frames are taken", (driver: Driver) => take(driver.ring)],
    ["while frames are given", (driver: Driver) => give(driver.ring, Buffer.alloc(100, 1)).count],
    ["while notifications are asked for", (driver: Driver) => native.ringArm(driver.ring, 1)],
    ["while it is checked for chains", (driver: Driver) => native.ringHas(driver.ring)],
  ])("is lost, %s, and other memory isn't", (_, call) => {
    const [lost, other] = [new Guest(), new Guest()]
    const [driver, beside, otherDriver] = [new Driver(lost), new Driver(lost, { at: 0x20000 }), new Driver(other)]
    lost.truncate(0)
    expect(call(driver)).toBe(-EFAULT)
    expect(native.ringFault(driver.ring)).toBe(7)
    expect(take(beside.ring)).toBe(-EFAULT)
    expect(native.ringFault(beside.ring)).toBe(7)
    other.write(0x30000, Buffer.from("still here"))
    otherDriver.offer({ address: 0x30000, length: 10 })
    expect(take(otherDriver.ring)).toEqual([Buffer.from("still here")])
    for (const each of [driver, beside, otherDriver]) each.close()
    for (const each of [lost, other]) each.close()
  })

  it("is lost if only a buffer was there", () => {
    const guest = new Guest()
    const driver = new Driver(guest)
    guest.write(high.address, Buffer.alloc(5000, 1))
    driver.offer({ address: 0x20000, length: 100 })
    driver.offer({ address: high.address, length: 5000 })
    guest.truncate(2 * MIB)
    expect(take(driver.ring)).toBe(-EFAULT)
    expect(driver.collect()).toEqual([])
    driver.close()
    guest.close()
  })

  it("is lost if its log is", () => {
    const guest = new Guest()
    const log = openFile(PAGE)
    expect(native.memoryLog(guest.memory, log, putRecord(32n, 0n))).toBe(0)
    const driver = new Driver(guest, { flags: RingFlag.log })
    driver.offer({ address: 0x20000, length: 100, flags: 2 })
    ftruncateSync(log, 0)
    expect(give(driver.ring, Buffer.alloc(100)).count).toBe(-EFAULT)
    driver.close()
    guest.close()
    closeSync(log)
  })

  it("can be mapped anew", () => {
    const guest = new Guest()
    const driver = new Driver(guest)
    guest.truncate(0)
    expect(native.ringHas(driver.ring)).toBe(-EFAULT)
    expect(native.memoryClear(guest.memory)).toBe(0)
    guest.truncate(3 * MIB)
    expect(guest.add(low)).toBe(0)
    const again = new Driver(guest)
    guest.write(0x30000, Buffer.from("once more"))
    again.offer({ address: 0x30000, length: 9 })
    expect(take(again.ring)).toEqual([Buffer.from("once more")])
    expect(native.ringHas(driver.ring)).toBe(-EFAULT)
    driver.close()
    again.close()
    guest.close()
  })

  it("is all that changes for the signal: another process's SIGBUS still ends this one", () => {
    const script = `const module = { exports: {} }
      process.dlopen(module, ${JSON.stringify(fileBeside("demiflow.node"))})
      if (module.exports.memoryCreate() !== 0) process.exit(3)
      process.kill(process.pid, "SIGBUS")
      setTimeout(() => {}, 60_000)`
    const { signal, status } = spawnSync(process.execPath, ["-e", script])
    expect({ signal, status }).toEqual({ signal: "SIGBUS", status: null })
  })
})
