/** The memory and the rings of a virtual machine, by pread() and pwrite(). Doesn't use the code under test. */
import { closeSync, ftruncateSync, openSync, readSync, unlinkSync, writeSync } from "node:fs"
import { checkResult } from "@demiflow/sys"
import { arena, native, numbers64 } from "./front-end.ts"

export const MIB: number = 1 << 20
const NEXT = 1
const WRITABLE = 2
const scratch = arena.reserve(8, 8)

/** A region of guest memory. */
export interface Region {
  readonly address: number
  readonly user: number
  readonly bytes: number
  readonly offset: number
}

/** A region below 4 GiB, and one above. */
export const LOW: Region = { address: 0, user: 0x7f00_0000_0000, bytes: MIB, offset: 0 }
export const HIGH: Region = { address: 0x1_2345_6000, user: 0x7e00_0000_0000, bytes: 2 * MIB, offset: MIB }
/** Plugged in later. */
export const PLUGGED: Region = { address: 0x2_0000_0000, user: 0x7d00_0000_0000, bytes: MIB, offset: 3 * MIB }

/** As in messages. */
export function regionBytes({ address, bytes, user, offset }: Region): Buffer {
  return numbers64(address, bytes, user, offset)
}

let files = 0

/** An open file in memory, without a name. */
export function openMemory(bytes: number): number {
  const path = `/dev/shm/demiflow-vhost-user-${process.pid}-${files++}`
  const file = openSync(path, "wx+")
  unlinkSync(path)
  ftruncateSync(file, bytes)
  return file
}

/** An eventfd. */
export function openEvent(initial = 0): number {
  return checkResult(native.createEvent(initial), "make an eventfd")
}

/** Takes the count of an eventfd; 0 if it is 0. */
export function eventCount(descriptor: number): number {
  return native.read(descriptor, scratch, 8) === 8 ? Number(arena.view.getBigUint64(scratch, true)) : 0
}

/** Adds to an eventfd. */
export function signal(descriptor: number): void {
  arena.view.setBigUint64(scratch, 1n, true)
  native.write(descriptor, scratch, 8)
}

/** Guest memory. */
export class Memory {
  readonly file: number = openMemory(4 * MIB)
  readonly regions: readonly Region[] = [LOW, HIGH, PLUGGED]

  write(address: number, bytes: Uint8Array): void {
    writeSync(this.file, bytes, 0, bytes.length, this.#position(address))
  }

  read(address: number, length: number): Buffer {
    const bytes = Buffer.alloc(length)
    readSync(this.file, bytes, 0, length, this.#position(address))
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

  userOf(address: number): number {
    const region = this.#regionOf(address)
    return region.user + address - region.address
  }

  truncate(bytes: number): void {
    ftruncateSync(this.file, bytes)
  }

  close(): void {
    closeSync(this.file)
  }

  #regionOf(address: number): Region {
    const found = this.regions.find((region) => address >= region.address && address < region.address + region.bytes)
    if (found === undefined) throw new RangeError(`No region has the address ${address}`)
    return found
  }

  #position(address: number): number {
    const region = this.#regionOf(address)
    return region.offset + address - region.address
  }
}

/** Where a driver has its ring and its buffers. */
export interface DriverPlaces {
  /** Guest address of the descriptor table; available and used ring follow at distances of 16 KiB. */
  readonly rings: number
  readonly buffers: number
  readonly entries: number
  readonly bufferBytes: number
}

/** A driver of one ring: buffers of equal size, one to each descriptor. */
export class Driver {
  readonly memory: Memory
  readonly places: DriverPlaces
  readonly kick: number = openEvent()
  readonly call: number = openEvent()
  readonly error: number = openEvent()
  #available = 0
  #used = 0
  #next = 0

  constructor(memory: Memory, places: DriverPlaces) {
    this.memory = memory
    this.places = places
  }

  get descriptors(): number {
    return this.places.rings
  }

  get available(): number {
    return this.places.rings + 0x4000
  }

  get used(): number {
    return this.places.rings + 0x8000
  }

  get availableIndex(): number {
    return this.#available
  }

  get usedIndex(): number {
    return this.memory.load16(this.used + 2)
  }

  /** Chains that are free to be offered. */
  get free(): number {
    return this.places.entries - ((this.#available - this.#used) & 0xffff)
  }

  /** Begins anew, with both indices at `base`. */
  reset(base = 0): void {
    this.#available = this.#used = base
    this.memory.store16(this.available, 0)
    this.memory.store16(this.available + 2, base)
    this.memory.store16(this.used, 0)
    this.memory.store16(this.used + 2, base)
  }

  /** Offers a frame to be taken, in as many buffers as it needs. */
  offerFrame(bytes: Uint8Array): void {
    const { bufferBytes } = this.places
    const count = Math.max(1, Math.ceil(bytes.length / bufferBytes))
    const indices = Array.from({ length: count }, () => this.#takeIndex())
    for (const [place, index] of indices.entries()) {
      const part = bytes.subarray(place * bufferBytes, (place + 1) * bufferBytes)
      this.memory.write(this.#bufferOf(index), part)
      const isLast = place === count - 1
      this.describe(index, this.#bufferOf(index), part.length, isLast ? 0 : NEXT, isLast ? 0 : indices[place + 1])
    }
    this.makeAvailable(indices[0])
  }

  /** Offers a chain of one empty buffer. */
  offerBuffer(): void {
    const index = this.#takeIndex()
    this.describe(index, this.#bufferOf(index), this.places.bufferBytes, WRITABLE, 0)
    this.makeAvailable(index)
  }

  describe(index: number, address: number, length: number, flags: number, next: number): void {
    const bytes = Buffer.alloc(16)
    bytes.writeBigUInt64LE(BigInt(address), 0)
    bytes.writeUInt32LE(length, 8)
    bytes.writeUInt16LE(flags, 12)
    bytes.writeUInt16LE(next, 14)
    this.memory.write(this.descriptors + 16 * index, bytes)
  }

  makeAvailable(head: number): void {
    this.memory.store16(this.available + 4 + 2 * (this.#available % this.places.entries), head)
    this.#available = (this.#available + 1) & 0xffff
    this.memory.store16(this.available + 2, this.#available)
  }

  notify(): void {
    signal(this.kick)
  }

  /** The used entries since the last call: head and length. */
  collect(): [head: number, length: number][] {
    const all: [number, number][] = []
    for (; this.#used !== this.usedIndex; this.#used = (this.#used + 1) & 0xffff) {
      const entry = this.memory.read(this.used + 4 + 8 * (this.#used % this.places.entries), 8)
      all.push([entry.readUInt32LE(0), entry.readUInt32LE(4)])
    }
    return all
  }

  /** The frames that were put into buffers since the last call, with their header. */
  collectFrames(isMerged: boolean): Buffer[] {
    const frames: Buffer[] = []
    const used = this.collect()
    for (let at = 0; at < used.length; ) {
      const first = this.#contentOf(used[at])
      const count = isMerged ? first.readUInt16LE(10) : 1
      frames.push(Buffer.concat(used.slice(at, at + count).map((entry) => this.#contentOf(entry))))
      at += count
    }
    return frames
  }

  /** True if it is to be kicked: without an event index. */
  get wantsKick(): boolean {
    return (this.memory.load16(this.used) & 1) === 0
  }

  close(): void {
    for (const descriptor of [this.kick, this.call, this.error]) native.close(descriptor)
  }

  #contentOf([head, length]: [number, number]): Buffer {
    return this.memory.read(this.#bufferOf(head), length)
  }

  /** Descriptors are used in turn: the device gives chains back in order. */
  #takeIndex(): number {
    const index = this.#next
    this.#next = (index + 1) % this.places.entries
    return index
  }

  #bufferOf(index: number): number {
    return this.places.buffers + index * this.places.bufferBytes
  }
}
