import { constants } from "node:os"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { RingFault, RingFlag } from "./ring-constants.ts"
import {
  behind,
  content,
  DescriptorFlag,
  Driver,
  Guest,
  give,
  high,
  type RingOptions,
  take,
} from "./ring-test-support.ts"
import { native } from "./test-support.ts"

const { EFAULT, EPROTO } = constants.errno
const { next, write, indirect } = DescriptorFlag

let guest: Guest
let driver: Driver

beforeEach(() => {
  guest = new Guest()
})

afterEach(() => {
  driver.close()
  guest.close()
})

interface Case {
  readonly title: string
  readonly fault: number
  readonly options?: RingOptions
  /** Makes a ring faulty; `flags` are for the buffers of the direction under test. */
  readonly spoil: (flags: number) => void
}

const entries = 8
const withTables = { flags: RingFlag.indirect }
const table = 0x40000

const cases: readonly Case[] = [
  {
    title: "an available index that is further ahead than the ring is long",
    fault: RingFault.indexJump,
    spoil: () => guest.store16(driver.available + 2, native.ringBase(driver.ring) + entries + 1),
  },
  {
    title: "an available index that goes back",
    fault: RingFault.indexJump,
    spoil: () => guest.store16(driver.available + 2, native.ringBase(driver.ring) - 1),
  },
  { title: "a head outside the table", fault: RingFault.head, spoil: () => driver.offerHeads(entries) },
  { title: "a head far outside the table", fault: RingFault.head, spoil: () => driver.offerHeads(0xffff) },
  {
    title: "a chain that goes on outside the table",
    fault: RingFault.head,
    spoil: (flags) => {
      driver.describe(7, { address: 0x20000, length: 1, flags: flags | next, next: entries })
      driver.offerHeads(7)
    },
  },
  {
    title: "a chain that goes on outside its indirect table",
    fault: RingFault.head,
    options: withTables,
    spoil: (flags) => void driver.offerIndirect(table, [{ address: 0x20000, length: 1, flags: flags | next, next: 1 }]),
  },
  {
    title: "a chain that leads to itself",
    fault: RingFault.loop,
    spoil: (flags) => {
      driver.describe(7, { address: 0x20000, length: 1, flags: flags | next, next: 7 })
      driver.offerHeads(7)
    },
  },
  {
    title: "a circle of descriptors without bytes",
    fault: RingFault.loop,
    spoil: (flags) => {
      driver.describe(6, { address: 0, length: 0, flags: flags | next, next: 7 })
      driver.describe(7, { address: 0, length: 0, flags: flags | next, next: 6 })
      driver.offerHeads(6)
    },
  },
  {
    title: "a circle in an indirect table",
    fault: RingFault.loop,
    options: withTables,
    spoil: (flags) =>
      void driver.offerIndirect(table, [
        { address: 0x20000, length: 1, flags: flags | next, next: 1 },
        { address: 0x20000, length: 1, flags: flags | next, next: 0 },
      ]),
  },
  {
    title: "an indirect table that is followed for longer than any frame needs",
    fault: RingFault.loop,
    options: withTables,
    spoil: (flags) =>
      void driver.offerIndirect(
        table,
        Array.from({ length: 1025 }, () => ({ address: 0, length: 0, flags })),
      ),
  },
  ...(
    [
      ["between regions", high.address - 1, 1],
      ["behind the last region", high.address + high.bytes, 1],
      ["that begins in a region and ends outside", behind.address + behind.bytes - 99, 100],
      ["that begins before a region", high.address - 1, 10],
      ["at the last address", 2n ** 64n - 1n, 1],
      ["beyond the last address", 2n ** 64n - 10n, 100],
    ] as const
  ).map(([title, address, length]) => ({
    title: `a buffer ${title}`,
    fault: RingFault.address,
    spoil: (flags: number) => void driver.offer({ address, length, flags }),
  })),
  ...(
    [
      ["outside the regions", high.address - 16, 16],
      ["that begins in a region and ends outside", behind.address + behind.bytes - 8, 16],
      ["beyond the last address", 2n ** 64n - 16n, 32],
    ] as const
  ).map(([title, address, length]) => ({
    title: `an indirect table ${title}`,
    fault: RingFault.address,
    options: withTables,
    spoil: () => void driver.offer({ address, length, flags: indirect }),
  })),
  {
    title: "an indirect table that wasn't negotiated",
    fault: RingFault.indirect,
    spoil: (flags) => void driver.offerIndirect(table, [{ address: 0x20000, length: 1, flags }]),
  },
  ...(
    [
      ["is empty", 0],
      ["is shorter than a descriptor", 15],
      ["is longer than its descriptors", 33],
    ] as const
  ).map(([title, length]) => ({
    title: `an indirect table that ${title}`,
    fault: RingFault.indirect,
    options: withTables,
    spoil: () => void driver.offer({ address: table, length, flags: indirect }),
  })),
  {
    title: "an indirect table in an indirect table",
    fault: RingFault.indirect,
    options: withTables,
    spoil: () => void driver.offerIndirect(table, [{ address: table + 64, length: 16, flags: indirect }]),
  },
  {
    title: "an indirect table with something behind it",
    fault: RingFault.indirect,
    options: withTables,
    spoil: (flags) =>
      void driver.offer({ address: table, length: 16, flags: indirect }, { address: 0x20000, length: 1, flags }),
  },
]

describe("a ring is unusable for good", () => {
  describe.each(cases)("after $title", ({ fault, options, spoil }) => {
    it("from the guest, though frames before it are taken and given back", () => {
      driver = new Driver(guest, { entries, ...options })
      guest.write(0x30000, content(60))
      const head = driver.offer({ address: 0x30000, length: 60 })
      if (fault === RingFault.indexJump) expect(take(driver.ring)).toHaveLength(1)
      spoil(0)
      if (fault !== RingFault.indexJump) expect(take(driver.ring)).toEqual([content(60)])
      expect(driver.collect()).toEqual([[head, 0]])
      expectUnusable(fault)
    })

    it("to the guest, though frames before it are given", () => {
      driver = new Driver(guest, { entries, chainsAt: 0, ...options })
      const head = driver.offer({ address: 0x30000, length: 60, flags: write })
      if (fault === RingFault.indexJump) expect(give(driver.ring, content(60)).count).toBe(1)
      spoil(write)
      if (fault !== RingFault.indexJump) expect(give(driver.ring, content(60), content(2000)).count).toBe(1)
      expect(driver.collect()).toEqual([[head, 60]])
      expectUnusable(fault)
    })
  })

  function expectUnusable(fault: number): void {
    const base = native.ringBase(driver.ring)
    const error = fault === RingFault.address ? -EFAULT : -EPROTO
    for (let time = 0; time < 2; time++) {
      expect(take(driver.ring)).toBe(error)
      expect(native.ringFault(driver.ring)).toBe(fault)
      expect(give(driver.ring, content(20)).count).toBe(error)
      expect(native.ringArm(driver.ring, 1)).toBe(error)
      expect(native.ringHas(driver.ring)).toBe(error)
    }
    expect(native.ringBase(driver.ring)).toBe(base)
    expect(driver.collect()).toEqual([])
  }

  it("after a readable buffer behind a writable one, or for the guest", () => {
    driver = new Driver(guest)
    driver.offer({ address: 0x20000, length: 10, flags: write }, { address: 0x20000, length: 10 })
    expect(take(driver.ring)).toBe(-EPROTO)
    expect(native.ringFault(driver.ring)).toBe(RingFault.direction)
    const back = new Driver(guest, { at: 0x10000 })
    back.offer({ address: 0x20000, length: 10, flags: write }, { address: 0x20000, length: 10 })
    expect(give(back.ring, content(10)).count, "the chain isn't followed further than needed").toBe(1)
    back.offer({ address: 0x20000, length: 10 })
    expect(give(back.ring, content(10)).count).toBe(-EPROTO)
    expect(native.ringFault(back.ring)).toBe(RingFault.direction)
    back.close()
  })

  it("after a chain of more buffers than the ring keeps", () => {
    // One descriptor makes two buffers where it goes from one region to the next.
    const regions = Array.from({ length: 500 }, (_, index) => ({
      address: high.address + index * 4096,
      user: 0x6000_0000_0000 + index * 8192,
      bytes: 4096,
      offset: 0,
    }))
    guest.remove(high)
    for (const region of regions) expect(guest.add(region)).toBe(0)
    driver = new Driver(guest, { flags: RingFlag.indirect })
    const crossing = { address: high.address + 2048, length: 400 * 4096 }
    const parts = Array.from({ length: 3 }, () => crossing)
    driver.offerIndirect(table, parts)
    expect(native.ringTake(driver.ring, 0, 16 << 20, 16 << 20, 1, 16 << 20)).toBe(-EPROTO)
    expect(native.ringFault(driver.ring)).toBe(RingFault.loop)
  })
})
