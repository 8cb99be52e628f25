/** The other side of a ring, for tests: the memory of a virtual machine, and a driver that works on it by pread(). */
import { closeSync, ftruncateSync, openSync, readSync, unlinkSync, writeSync } from "node:fs"
import { checkResult } from "./errno.ts"
import { RingFlag } from "./ring-constants.ts"
import { arena, native } from "./test-support.ts"

export const KIB = 1024
export const MIB: number = 1024 * KIB

/** Place of a record for the calls that take one. */
export const record: number = arena.reserve(48, 8)

/** Stores 64-bit integers at `record`. */
export function putRecord(...values: readonly bigint[]): number {
  for (const [index, value] of values.entries()) arena.view.setBigUint64(record + 8 * index, value, true)
  return record
}

/** Addresses of tests are below 2^53. */
export interface Region {
  readonly address: number
  readonly user: number
  readonly bytes: number
  readonly offset: number
}

let files = 0

/** An open file in memory without a name. */
export function openFile(bytes: number): number {
  const path = `/dev/shm/demiflow-rings-${process.pid}-${files++}`
  const file = openSync(path, "wx+")
  unlinkSync(path)
  ftruncateSync(file, bytes)
  return file
}

export const low: Region = { address: 0, user: 0x7f00_0000_0000, bytes: MIB, offset: MIB }
/** Follows `low` in the guest, though not in the file. */
export const behind: Region = { address: MIB, user: 0x7e00_0000_0000, bytes: MIB, offset: 0 }
/** Follows `low` in the other program, and lies above 4 GiB in the guest. */
export const high: Region = { address: 0x1_2345_6000, user: 0x7f00_0010_0000, bytes: MIB, offset: 2 * MIB }

/** A file with three regions of guest memory. */
export class Guest {
  readonly memory: number = checkResult(native.memoryCreate(), "make a memory")
  readonly file: number
  readonly #regions: Region[] = []

  constructor(regions: readonly Region[] = [low, behind, high], bytes: number = 3 * MIB) {
    this.file = openFile(bytes)
    for (const region of regions) checkResult(this.add(region), "add a region")
  }

  add(region: Region): number {
    this.#regions.push(region)
    return native.memoryAdd(this.memory, this.file, putRecord(...recordOf(region)))
  }

  remove(region: Region): number {
    return native.memoryRemove(this.memory, putRecord(...recordOf(region)))
  }

  truncate(bytes: number): void {
    ftruncateSync(this.file, bytes)
  }

  close(): void {
    native.memoryClose(this.memory)
    closeSync(this.file)
  }

  regionOf(address: number): Region {
    const found = this.#regions.find((region) => address >= region.address && address < region.address + region.bytes)
    if (found === undefined) throw new RangeError(`No region has the address ${address}`)
    return found
  }

  userOf(address: number): bigint {
    const region = this.regionOf(address)
    return BigInt(region.user + address - region.address)
  }

  write(address: number, bytes: Uint8Array): void {
    this.#forParts(address, bytes, (part, position) => writeSync(this.file, part, 0, part.length, position))
  }

  read(address: number, length: number): Buffer {
    const bytes = Buffer.alloc(length)
    this.#forParts(address, bytes, (part, position) => readSync(this.file, part, 0, part.length, position))
    return bytes
  }

  load16(address: number): number {
    return this.read(address, 2).readUInt16LE()
  }

  store16(address: number, value: number): void {
    const bytes = Buffer.alloc(2)
    bytes.writeUInt16LE(value)
    this.write(address, bytes)
  }

  #forParts(address: number, bytes: Uint8Array, call: (part: Uint8Array, position: number) => void): void {
    for (let done = 0; done < bytes.length; ) {
      const region = this.regionOf(address + done)
      const within = address + done - region.address
      const length = Math.min(bytes.length - done, region.bytes - within)
      call(bytes.subarray(done, done + length), region.offset + within)
      done += length
    }
  }
}

export function recordOf(region: Region): bigint[] {
  return [region.address, region.bytes, region.user, region.offset].map(BigInt)
}

/** Of a descriptor: virtio 1.3, section 2.7.5. */
export const DescriptorFlag = { next: 1, write: 2, indirect: 4 } as const

export interface Descriptor {
  readonly address: number | bigint
  readonly length: number
  readonly flags?: number
  readonly next?: number
}

export interface RingOptions {
  /** Guest address of the descriptor table; the other two parts follow at distances of 16 and 32 KiB. */
  readonly at?: number
  readonly entries?: number
  readonly flags?: number
  /** Where a frame has the number of its chains. */
  readonly chainsAt?: number
  /** Of both rings. */
  readonly first?: number
}

/** The descriptor table's 16 bytes for each descriptor. */
export function bytesOf(descriptors: readonly Descriptor[]): Buffer {
  const bytes = Buffer.alloc(16 * descriptors.length)
  for (const [index, { address, length, flags = 0, next = 0 }] of descriptors.entries()) {
    bytes.writeBigUInt64LE(BigInt(address), 16 * index)
    bytes.writeUInt32LE(length, 16 * index + 8)
    bytes.writeUInt16LE(flags, 16 * index + 12)
    bytes.writeUInt16LE(next, 16 * index + 14)
  }
  return bytes
}

/** A driver: offers chains, and collects what comes back. */
export class Driver {
  readonly guest: Guest
  readonly ring: number
  readonly entries: number
  readonly descriptors: number
  readonly available: number
  readonly used: number
  /** An eventfd that the ring notifies. */
  readonly event: number = checkResult(native.createEvent(0), "make an eventfd")
  #nextDescriptor = 0
  #available: number
  #used: number

  constructor(guest: Guest, options: RingOptions = {}) {
    const { at = 0x1000, entries = 8, flags = 0, chainsAt = -1, first = 0 } = options
    this.guest = guest
    this.entries = entries
    this.descriptors = at
    this.available = at + 16 * KIB
    this.used = at + 32 * KIB
    this.#available = this.#used = first
    guest.store16(this.available, 0)
    guest.store16(this.available + 2, first)
    guest.store16(this.used + 2, first)
    const places = [this.descriptors, this.available, this.used].map((address) => guest.userOf(address))
    putRecord(...places, BigInt(this.used))
    for (const [index, value] of [entries, first, flags, chainsAt].entries()) {
      arena.view.setInt32(record + 32 + 4 * index, value, true)
    }
    this.ring = checkResult(native.ringOpen(guest.memory, record), "open a ring")
    checkResult(native.ringNotify(this.ring, this.event), "set what is notified")
  }

  /** Stores descriptors of the table from an index on. */
  describe(index: number, ...descriptors: readonly Descriptor[]): void {
    this.guest.write(this.descriptors + 16 * index, bytesOf(descriptors))
  }

  /** Makes one chain of these descriptors, in the next free places of the table, and returns its head. */
  offer(...descriptors: readonly Descriptor[]): number {
    const head = this.chain(...descriptors)
    this.offerHeads(head)
    return head
  }

  /** The same, but doesn't make it available. */
  chain(...descriptors: readonly Descriptor[]): number {
    const head = this.#nextDescriptor
    for (const [place, descriptor] of descriptors.entries()) {
      const index = this.#nextDescriptor
      this.#nextDescriptor = (index + 1) % this.entries
      const isLast = place === descriptors.length - 1
      const flags = (descriptor.flags ?? 0) | (isLast ? 0 : DescriptorFlag.next)
      this.describe(index, { ...descriptor, flags, next: isLast ? 0xffff : this.#nextDescriptor })
    }
    return head
  }

  /** Makes chains available, all at once. */
  offerHeads(...heads: readonly number[]): void {
    for (const head of heads) {
      this.guest.store16(this.available + 4 + 2 * (this.#available % this.entries), head)
      this.#available = (this.#available + 1) & 0xffff
    }
    this.guest.store16(this.available + 2, this.#available)
  }

  /** Makes one chain of descriptors in an indirect table at a guest address. */
  offerIndirect(table: number, descriptors: readonly Descriptor[], bytes: number = 16 * descriptors.length): number {
    const linked = descriptors.map((each, index) => {
      const isLast = index === descriptors.length - 1
      return { next: index + 1, ...each, flags: (each.flags ?? 0) | (isLast ? 0 : DescriptorFlag.next) }
    })
    this.guest.write(table, bytesOf(linked))
    return this.offer({ address: table, length: bytes, flags: DescriptorFlag.indirect })
  }

  /** The chains that came back since the last call: head and length. */
  collect(): [head: number, length: number][] {
    const collected: [number, number][] = []
    for (; this.#used !== this.usedIndex; this.#used = (this.#used + 1) & 0xffff) {
      const entry = this.guest.read(this.used + 4 + 8 * (this.#used % this.entries), 8)
      collected.push([entry.readUInt32LE(0), entry.readUInt32LE(4)])
    }
    return collected
  }

  get usedIndex(): number {
    return this.guest.load16(this.used + 2)
  }

  get usedFlags(): number {
    return this.guest.load16(this.used)
  }

  /** The available index at which the ring wants to be notified. */
  get availableEvent(): number {
    return this.guest.load16(this.used + 4 + 8 * this.entries)
  }

  set usedEvent(index: number) {
    this.guest.store16(this.available + 4 + 2 * this.entries, index)
  }

  set availableFlags(flags: number) {
    this.guest.store16(this.available, flags)
  }

  /** Whether it was notified since the last call. */
  wasNotified(): boolean {
    return native.read(this.event, record, 8) === 8
  }

  close(): void {
    native.ringClose(this.ring)
    native.close(this.event)
  }
}

export const ROOM: number = 256 * KIB
const frames = arena.reserve(ROOM, 64)
const table = arena.reserve(8 * KIB, 4)

/** Takes frames, or returns the negated errno. */
export function take(ring: number, longest = 65_550, maximum = 64, room: number = ROOM): Buffer[] | number {
  arena.bytes.fill(0xee, frames, frames + ROOM)
  const count = native.ringTake(ring, frames, room, longest, maximum, table)
  if (count < 0) return count
  let at = frames
  return Array.from({ length: count }, (_, index) => {
    const length = arena.view.getInt32(table + 4 * index, true)
    const frame = Buffer.from(arena.bytes.slice(at, at + length))
    at += Math.ceil(length / 64) * 64
    return frame
  })
}

export interface Given {
  readonly count: number
  /** What the call has made of the lengths. */
  readonly lengths: readonly number[]
  /** What it has made of the frames. */
  readonly frames: readonly Buffer[]
}

/** Gives frames. */
export function give(ring: number, ...given: readonly Uint8Array[]): Given {
  let at = frames
  for (const [index, frame] of given.entries()) {
    arena.bytes.set(frame, at)
    arena.view.setInt32(table + 8 * index, at, true)
    arena.view.setInt32(table + 8 * index + 4, frame.length, true)
    at += frame.length
  }
  const count = native.ringGive(ring, table, given.length)
  return {
    count,
    lengths: given.map((_, index) => arena.view.getInt32(table + 8 * index + 4, true)),
    frames: given.map((frame, index) => {
      const place = arena.view.getInt32(table + 8 * index, true)
      return Buffer.from(arena.bytes.slice(place, place + frame.length))
    }),
  }
}

/** Bytes that differ from one another and from those of other seeds. */
export function content(length: number, seed = 0): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, index) => index * 7 + (index >> 8) + seed * 31 + 1))
}

/** With both options that drivers usually want. */
export const usual: number = RingFlag.eventIndex | RingFlag.indirect
