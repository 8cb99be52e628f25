import { constants } from "node:os"
import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { RingFlag } from "./ring-constants.ts"
import {
  behind,
  content,
  type Descriptor,
  DescriptorFlag,
  Driver,
  Guest,
  give,
  high,
  KIB,
  type RingOptions,
  take,
} from "./ring-test-support.ts"
import { native } from "./test-support.ts"

const { EFAULT } = constants.errno
const { write } = DescriptorFlag

let guest: Guest
let driver: Driver

beforeEach(() => {
  guest = new Guest()
})

afterEach(() => {
  driver?.close()
  guest.close()
})

function open(options: RingOptions = {}): void {
  driver = new Driver(guest, options)
}

/** Buffers of these lengths, each on pages of its own from an address on. */
function buffers(address: number, lengths: readonly number[], flags = 0): Descriptor[] {
  let at = address
  return lengths.map((length) => {
    const buffer = { address: at, length, flags }
    at += Math.ceil((length + 1) / 4096) * 4096
    return buffer
  })
}

/** Stores a frame in buffers. */
function fill(into: readonly Descriptor[], frame: Uint8Array): void {
  let done = 0
  for (const { address, length } of into) {
    guest.write(Number(address), frame.subarray(done, done + length))
    done += length
  }
}

/** What buffers contain, in one. */
function contentOf(from: readonly Descriptor[], length: number): Buffer {
  const parts = from.map((buffer) => guest.read(Number(buffer.address), buffer.length))
  return Buffer.concat(parts).subarray(0, length)
}

describe("frames from the guest", () => {
  it("are taken in their order, however many there are", () => {
    open()
    expect(take(driver.ring)).toEqual([])
    const frames = [1, 64, 65, 1500, 60].map((length, index) => content(length, index))
    const heads = frames.map((frame, index) => {
      const chain = buffers(0x20000 + index * 0x1000, [frame.length])
      fill(chain, frame)
      return driver.offer(...chain)
    })
    expect(native.ringHas(driver.ring)).toBe(1)
    expect(take(driver.ring)).toEqual(frames)
    expect(native.ringHas(driver.ring)).toBe(0)
    expect(driver.collect()).toEqual(heads.map((head) => [head, 0]))
    expect(take(driver.ring)).toEqual([])
    expect(native.ringBase(driver.ring)).toBe(5)
  })

  it("consist of all readable buffers of a chain, and ignore writable ones behind them", () => {
    open()
    const frame = content(3000)
    const parts = buffers(0x20000, [12, 0, 1, 2000, 987])
    fill(parts, frame)
    driver.offer(...parts, { address: 0x40000, length: 100, flags: write })
    expect(take(driver.ring)).toEqual([frame])
  })

  it("go where there is room, and wait where there is none", () => {
    open()
    for (const [index, length] of [100, 100, 128, 1].entries()) {
      const chain = buffers(0x20000 + index * 0x1000, [length])
      fill(chain, content(length, index))
      driver.offer(...chain)
    }
    // 128 bytes for each of the first two, then 127 are left.
    expect(take(driver.ring, 128, 64, 383)).toEqual([content(100, 0), content(100, 1)])
    expect(driver.collect()).toHaveLength(2)
    expect(take(driver.ring, 128, 1, 128)).toEqual([content(128, 2)])
    expect(take(driver.ring, 128, 64, 128)).toEqual([content(1, 3)])
  })

  it("are taken as many as asked for", () => {
    open()
    for (const seed of [1, 2, 3]) {
      guest.write(0x20000 + seed * 100, content(50, seed))
      driver.offer({ address: 0x20000 + seed * 100, length: 50 })
    }
    expect(take(driver.ring, 100, 2)).toEqual([content(50, 1), content(50, 2)])
    expect(driver.collect()).toHaveLength(2)
    expect(take(driver.ring, 100, 2)).toEqual([content(50, 3)])
  })

  it("have length 0 if they are too long, empty, or only writable", () => {
    open({ entries: 16 })
    guest.write(0x20000, content(500))
    driver.offer({ address: 0x20000, length: 101 })
    driver.offer({ address: 0x20000, length: 50 }, { address: 0x20100, length: 51 })
    driver.offer({ address: 0x20000, length: 100 })
    driver.offer({ address: 0x20000, length: 0xffff_ffff })
    driver.offer({ address: 0x20000, length: 0 })
    driver.offer({ address: 0x20000, length: 100, flags: write })
    driver.offer({ address: 0x20000, length: 10 })
    const none = Buffer.alloc(0)
    const [hundred, ten] = [content(500).subarray(0, 100), content(500).subarray(0, 10)]
    expect(take(driver.ring, 100)).toEqual([none, none, hundred, none, none, none, ten])
    expect(driver.collect()).toHaveLength(7)
    expect(native.ringFault(driver.ring)).toBe(0)
  })

  it("are taken from a table of descriptors anywhere, also behind other descriptors", () => {
    open({ flags: RingFlag.indirect, entries: 4 })
    const parts = buffers(0x20000, [12, 1000, 1000, 1000, 1000, 500])
    const frame = content(4512)
    fill(parts, frame)
    // Longer than the ring, and crosses into the next region.
    driver.offerIndirect(behind.address - 40, parts)
    expect(take(driver.ring)).toEqual([frame])
    // The write flag of a descriptor that names a table has no meaning.
    const table = driver.chain({ address: behind.address - 40, length: 96, flags: 4 | write })
    driver.offerHeads(table)
    expect(take(driver.ring)).toEqual([frame])
    guest.write(0x30000, Buffer.from("before"))
    driver.offer({ address: 0x30000, length: 6 }, { address: behind.address - 40, length: 96, flags: 4 })
    expect(take(driver.ring)).toEqual([Buffer.concat([Buffer.from("before"), frame])])
  })

  it("need not end at the end of their table", () => {
    open({ flags: RingFlag.indirect })
    guest.write(0x20000, content(10))
    driver.offerIndirect(0x30000, [{ address: 0x20000, length: 10 }], 16 * 64)
    expect(take(driver.ring)).toEqual([content(10)])
  })

  it("come from regions that follow one another in the guest only, and from above 4 GiB", () => {
    open()
    const crossing = content(9000, 1)
    guest.write(behind.address - 4500, crossing)
    driver.offer({ address: behind.address - 4500, length: 9000 })
    const above = content(3000, 2)
    guest.write(high.address + 5, above)
    driver.offer({ address: high.address + 5, length: 3000 })
    const last = content(7, 3)
    guest.write(high.address + high.bytes - 7, last)
    driver.offer({ address: high.address + high.bytes - 7, length: 7 })
    expect(take(driver.ring)).toEqual([crossing, above, last])
  })

  it("go on where another ring on the same memory has ended", () => {
    open({ entries: 4 })
    for (let seed = 0; seed < 6; seed++) {
      guest.write(0x20000, content(20, seed))
      driver.offer({ address: 0x20000, length: 20 })
      expect(take(driver.ring)).toEqual([content(20, seed)])
    }
    const base = native.ringBase(driver.ring)
    expect(base).toBe(6)
    driver.close()
    open({ entries: 4, first: base })
    guest.write(0x20000, content(20, 7))
    const head = driver.offer({ address: 0x20000, length: 20 })
    expect(take(driver.ring)).toEqual([content(20, 7)])
    expect(driver.collect()).toEqual([[head, 0]])
    expect(driver.usedIndex).toBe(7)
  })
})

describe("frames to the guest, one chain each", () => {
  it("are given in their order, while there are chains", () => {
    open()
    const chains = [0, 1, 2].map((index) => buffers(0x20000 + index * 0x4000, [100, 1900], write))
    const heads = chains.map((chain) => driver.offer(...chain))
    const frames = [content(60, 1), content(2000, 2), content(1500, 3), content(70, 4)]
    expect(give(driver.ring, ...frames)).toMatchObject({ count: 3, lengths: [60, 2000, 1500, 70] })
    expect(driver.collect()).toEqual([
      [heads[0], 60],
      [heads[1], 2000],
      [heads[2], 1500],
    ])
    for (const [index, chain] of chains.entries()) {
      expect(contentOf(chain, frames[index]?.length ?? 0)).toEqual(frames[index])
    }
    expect(contentOf(chains[0] ?? [], 61).at(60)).toBe(0)
    expect(give(driver.ring, content(70)).count).toBe(0)
    expect(native.ringHas(driver.ring)).toBe(0)
  })

  it("are skipped if they don't fit, and leave the chain to the next", () => {
    open()
    const head = driver.offer(...buffers(0x20000, [100, 100], write))
    const given = give(driver.ring, content(201), Buffer.alloc(0), content(200, 1), content(10))
    expect(given).toMatchObject({ count: 3, lengths: [-1, -1, 200, 10] })
    expect(driver.collect()).toEqual([[head, 200]])
    expect(contentOf(buffers(0x20000, [100, 100]), 200)).toEqual(content(200, 1))
  })

  it("go through a table of descriptors, and over regions", () => {
    open({ flags: RingFlag.indirect })
    const parts = [
      { address: high.address + 1, length: 5000, flags: write },
      { address: behind.address - 100, length: 200, flags: write },
    ]
    const head = driver.offerIndirect(0x60001, parts)
    expect(give(driver.ring, content(5150)).count).toBe(1)
    expect(driver.collect()).toEqual([[head, 5150]])
    expect(contentOf(parts, 5150)).toEqual(content(5150))
    expect(guest.read(behind.address + 50, 1)).toEqual(Buffer.alloc(1))
  })
})

describe("frames to the guest, merged chains", () => {
  /** As a virtio-net header with a number of buffers has it. */
  const chainsAt = 10

  it("fill as many chains as they need, and say how many", () => {
    open({ chainsAt, entries: 16 })
    const chains = [0, 1, 2, 3, 4].map((index) => buffers(0x20000 + index * 0x4000, [1000, 536], write))
    const heads = chains.map((chain) => driver.offer(...chain))
    const given = give(driver.ring, content(100, 1), content(4000, 2), content(1536, 3))
    expect(given.count).toBe(3)
    expect(driver.collect()).toEqual([
      [heads[0], 100],
      [heads[1], 1536],
      [heads[2], 1536],
      [heads[3], 928],
      [heads[4], 1536],
    ])
    expect(given.frames.map((frame) => frame.readUInt16LE(chainsAt))).toEqual([1, 3, 1])
    const [one, ...more] = chains
    expect(contentOf(one ?? [], 100)).toEqual(given.frames[0])
    expect(contentOf(more.slice(0, 3).flat(), 4000)).toEqual(given.frames[1])
    expect(contentOf(more[3] ?? [], 1536)).toEqual(given.frames[2])
  })

  it("wait for chains, and use none until there are enough", () => {
    open({ chainsAt })
    const first = driver.offer(...buffers(0x20000, [1000], write))
    const second = driver.offer(...buffers(0x30000, [1000], write))
    expect(give(driver.ring, content(500), content(1500)).count).toBe(1)
    expect(driver.collect()).toEqual([[first, 500]])
    expect(give(driver.ring, content(1500)).count).toBe(0)
    expect(native.ringBase(driver.ring)).toBe(1)
    const third = driver.offer(...buffers(0x40000, [1000], write))
    expect(give(driver.ring, content(1500)).count).toBe(1)
    expect(driver.collect()).toEqual([
      [second, 1000],
      [third, 500],
    ])
  })

  it("are skipped if all chains of the ring aren't enough, or there is no place for their number", () => {
    open({ chainsAt, entries: 4 })
    for (const part of [0, 1]) driver.offer(...buffers(0x20000 + part * 0x4000, [100, 100], write))
    const given = give(driver.ring, content(401), content(11), content(12))
    expect(given).toMatchObject({ count: 3, lengths: [-1, -1, 12] })
    expect(driver.collect()).toHaveLength(1)
    // The other chain may be followed by more.
    expect(give(driver.ring, content(401)).count).toBe(0)
  })
})

describe("indexes", () => {
  it("go from 65,535 to 0, both ways", () => {
    open({ first: 65_533, chainsAt: 0 })
    const back = new Driver(guest, { at: 0x10000, first: 65_533 })
    for (let round = 0; round < 6; round++) {
      const chain = buffers(0x40000, [100, 100], write)
      driver.offerHeads(driver.chain(...chain.slice(0, 1)), driver.chain(...chain.slice(1)))
      const given = give(driver.ring, content(150, round))
      expect(given.count).toBe(1)
      expect(driver.collect().map(([, length]) => length)).toEqual([100, 50])
      back.offer({ address: 0x40000, length: 100 }, { address: 0x41000, length: 50 })
      expect(take(back.ring)).toEqual(given.frames)
      expect(back.collect()).toHaveLength(1)
    }
    expect(native.ringBase(driver.ring)).toBe(65_533 + 12 - 65_536)
    expect(native.ringBase(back.ring)).toBe(65_533 + 6 - 65_536)
    back.close()
  })

  it("stand for a whole ring of chains", () => {
    open({ first: 65_535, entries: 4 })
    guest.write(0x20000, content(4))
    driver.offerHeads(...[0, 1, 2, 3].map((at) => driver.chain({ address: 0x20000 + at, length: 1 })))
    expect(take(driver.ring)).toEqual([0, 1, 2, 3].map((at) => content(4).subarray(at, at + 1)))
  })
})

describe("regions that change under a ring", () => {
  it("leave it usable if it isn't there", () => {
    open()
    guest.write(high.address, content(10))
    driver.offer({ address: high.address, length: 10 })
    expect(take(driver.ring)).toEqual([content(10)])
    expect(guest.remove(behind)).toBe(0)
    driver.offer({ address: high.address, length: 10 })
    expect(take(driver.ring)).toEqual([content(10)])
    expect(guest.remove(high)).toBe(0)
    driver.offer({ address: high.address, length: 10 })
    expect(take(driver.ring)).toBe(-EFAULT)
    expect(native.ringFault(driver.ring)).toBe(4)
  })

  it.each<[string, (at: Guest) => number]>([
    ["is removed", (at) => at.remove(at.regionOf(0))],
    ["is cleared", (at) => native.memoryClear(at.memory)],
    ["is closed", (at) => native.memoryClose(at.memory)],
  ])("make it unusable when its own %s", (_, change) => {
    open()
    expect(change(guest)).toBe(0)
    expect(take(driver.ring)).toBe(-EFAULT)
    expect(give(driver.ring, content(10)).count).toBe(-EFAULT)
    expect(native.ringArm(driver.ring, 1)).toBe(-EFAULT)
    expect(native.ringHas(driver.ring)).toBe(-EFAULT)
    expect(native.ringFault(driver.ring)).toBe(7)
    expect(native.ringBase(driver.ring)).toBe(0)
  })
})

describe("any frames", () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 12 })
  const splits = fc.array(fc.integer({ min: 1, max: 2000 }), { minLength: 1, maxLength: 40 })

  it("arrive as they were, to the guest and back, whatever their buffers are", () => {
    fc.assert(
      fc.property(lengths, splits, fc.boolean(), fc.nat(65_535), (frames, parts, isIndirect, first) => {
        const flags = isIndirect ? RingFlag.indirect | RingFlag.eventIndex : 0
        const to = new Driver(guest, { entries: 64, flags, first, chainsAt: 0 })
        const from = new Driver(guest, { at: 0x10000, entries: 64, flags, first })
        const chains = parts.map((length, index) => [
          { address: behind.address - 16 * KIB + index * 2048, length, flags: write },
        ])
        for (const [index, chain] of chains.entries()) {
          if (isIndirect) to.offerIndirect(0x30000 + 16 * index, chain)
          else to.offer(...chain)
        }
        const sent = frames.map((length, index) => content(length + 2, index))
        const given = give(to.ring, ...sent)
        const used = to.collect()
        expect(used.reduce((sum, [, length]) => sum + length, 0)).toBe(
          sent.slice(0, given.count).reduce((sum, frame) => sum + frame.length, 0),
        )
        let chain = 0
        for (const frame of given.frames.slice(0, given.count)) {
          const count = frame.readUInt16LE(0)
          const back = Array.from({ length: count }, (_, index) => ({
            address: chains[chain + index]?.[0]?.address ?? 0,
            length: used[chain + index]?.[1] ?? 0,
          }))
          chain += count
          if (isIndirect) from.offerIndirect(0x38000, back)
          else from.offer(...back)
          expect(take(from.ring)).toEqual([frame])
        }
        expect(chain).toBe(used.length)
        to.close()
        from.close()
      }),
      { numRuns: 60 },
    )
  })
})
