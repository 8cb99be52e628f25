/**
 * Reassembly of fragments of IPv4 (RFC 791, section 3.2) and IPv6 packets (RFC 8200, section 4.5).
 *
 * Memory is a fixed number of slots for 64 KiB each, reserved at start. If none is free, the datagram begun longest ago
 * is evicted. A bitmap of eight-byte units records which parts have arrived, so the number and order of fragments cost
 * nothing. A fragment that overlaps others ends its datagram, and further fragments of it are dropped until it would
 * have timed out (RFC 5722; for IPv4 too, where no honest sender needs overlaps either). A fragment that repeats bytes
 * already there is not an overlap, and is ignored.
 *
 * A reassembled packet has an IP header as if it had never been fragmented: without IPv4 options and without the IPv6
 * extension headers before the fragment header. No ICMP error is sent for datagrams that are given up.
 */
import {
  type Arena,
  type Clock,
  type DropReason,
  type Drops,
  finishChecksum,
  IPV4_CHECKSUM,
  IPV4_FLAGS_AND_OFFSET,
  IPV4_FRAGMENT_OFFSET_MASK,
  IPV4_HEADER_LENGTH,
  IPV4_IDENTIFICATION,
  IPV4_MORE_FRAGMENTS,
  IPV4_PROTOCOL,
  IPV4_SOURCE,
  IPV4_TARGET,
  IPV4_TOTAL_LENGTH,
  IPV4_VERSION_AND_LENGTH,
  IPV6_HEADER_LENGTH,
  IPV6_NEXT_HEADER,
  IPV6_PAYLOAD_LENGTH,
  IPV6_SOURCE,
  IPV6_TARGET,
} from "@demiflow/core"

/**
 * Milliseconds from the first fragment to arrive: for IPv6 as in RFC 8200, section 4.5; for IPv4 as in Linux, shorter
 * than RFC 1122, section 3.3.2, recommends (60 to 120 s).
 */
const TIMEOUT_V4 = 30_000
const TIMEOUT_V6 = 60_000
const LARGEST_PACKET = 65_535
/** Room before the payload for the IP header. */
const HEADER_ROOM = 64
const SLOT_BYTES = HEADER_ROOM + 65_536
const UNIT = 8
const BITMAP_WORDS = 65_536 / UNIT / 32
/** Family and protocol, identification, source and destination. */
const KEY_WORDS = 10
const KEY_V6 = -1

const SlotState = { free: 0, collecting: 1, spoilt: 2 } as const

/** Returns the bytes of arena that reassembly with this number of slots reserves. */
export function reassemblyBytes(slots: number): number {
  return slots * SLOT_BYTES
}

/** Datagrams whose fragments have arrived. */
export class Reassembly {
  readonly #arena: Arena
  readonly #clock: Clock
  readonly #drops: Drops
  readonly #slots: number
  readonly #memory: number
  readonly #keys: Int32Array
  readonly #key = new Int32Array(KEY_WORDS)
  readonly #state: Uint8Array
  /** Empty before the first fragment. */
  #bitmaps = new Int32Array(0)
  readonly #fragments: Int32Array
  /** Number of units that have arrived. */
  readonly #units: Int32Array
  /** Payload bytes up to the end of the furthest fragment. */
  readonly #reach: Int32Array
  /** Payload bytes of the whole datagram; -1 until the last fragment has arrived. */
  readonly #total: Int32Array
  readonly #nextHeader: Uint8Array
  readonly #deadline: Float64Array
  readonly #startedAt: Float64Array
  #used = 0
  #earliest = Number.POSITIVE_INFINITY
  #complete = -1
  readonly #reasonLength: DropReason
  readonly #reasonOverlap: DropReason
  readonly #reasonDuplicate: DropReason
  readonly #reasonTimeout: DropReason
  readonly #reasonGone: DropReason
  readonly #reasonEvicted: DropReason

  /**
   * @param slots datagrams that can be reassembled at a time, 1 or more; reserves {@link reassemblyBytes} of the arena
   */
  constructor(arena: Arena, clock: Clock, drops: Drops, slots: number) {
    this.#arena = arena
    this.#clock = clock
    this.#drops = drops
    this.#slots = slots
    this.#memory = arena.reserve(reassemblyBytes(slots), 64, "fragments")
    this.#keys = new Int32Array(slots * KEY_WORDS)
    this.#state = new Uint8Array(slots)
    this.#fragments = new Int32Array(slots)
    this.#units = new Int32Array(slots)
    this.#reach = new Int32Array(slots)
    this.#total = new Int32Array(slots)
    this.#nextHeader = new Uint8Array(slots)
    this.#deadline = new Float64Array(slots)
    this.#startedAt = new Float64Array(slots)
    this.#reasonLength = drops.reason("fragment: length")
    this.#reasonOverlap = drops.reason("fragment: overlap")
    this.#reasonDuplicate = drops.reason("fragment: duplicate")
    this.#reasonTimeout = drops.reason("fragment: timeout")
    this.#reasonGone = drops.reason("fragment: its guest is gone")
    this.#reasonEvicted = drops.reason("fragment: too many datagrams at a time")
  }

  /** Number of datagrams that occupy a slot. */
  get size(): number {
    return this.#used
  }

  /**
   * Adds an IPv4 fragment whose header has been checked. Returns the arena offset of the whole packet's IP header if
   * this fragment completed it, else -1. A whole packet stays there until {@link Reassembly.release}.
   */
  addV4(networkOffset: number, payloadOffset: number, end: number): number {
    const { view } = this.#arena
    const key = this.#key
    const flagsAndOffset = view.getUint16(networkOffset + IPV4_FLAGS_AND_OFFSET)
    key.fill(0)
    // RFC 791 3.2 MUST: fragments belong together if source, destination, protocol and identification are the same
    key[0] = view.getUint8(networkOffset + IPV4_PROTOCOL)
    key[1] = view.getUint16(networkOffset + IPV4_IDENTIFICATION)
    key[2] = view.getInt32(networkOffset + IPV4_SOURCE)
    key[6] = view.getInt32(networkOffset + IPV4_TARGET)
    const position = (flagsAndOffset & IPV4_FRAGMENT_OFFSET_MASK) * UNIT
    const hasMore = (flagsAndOffset & IPV4_MORE_FRAGMENTS) !== 0
    const slot = this.#add(payloadOffset, end, position, hasMore, LARGEST_PACKET - IPV4_HEADER_LENGTH, TIMEOUT_V4)
    if (slot < 0) return -1
    const start = this.#payloadOf(slot) - IPV4_HEADER_LENGTH
    if (position === 0) this.#arena.copy(networkOffset, start, IPV4_HEADER_LENGTH)
    return this.#isComplete(slot) ? this.#finishV4(slot, start) : -1
  }

  /** Adds an IPv6 fragment in the same way. Its fragment header begins at `fragmentOffset`. */
  addV6(networkOffset: number, fragmentOffset: number, end: number): number {
    const { view } = this.#arena
    const key = this.#key
    const offsetAndMore = view.getUint16(fragmentOffset + 2)
    // RFC 8200 4.5 (key) MUST: fragments belong together if source, destination and identification are the same
    key[0] = KEY_V6
    key[1] = view.getInt32(fragmentOffset + 4)
    for (let word = 0; word < 4; word++) {
      key[2 + word] = view.getInt32(networkOffset + IPV6_SOURCE + word * 4)
      key[6 + word] = view.getInt32(networkOffset + IPV6_TARGET + word * 4)
    }
    const position = offsetAndMore & 0xfff8
    const slot = this.#add(fragmentOffset + 8, end, position, (offsetAndMore & 1) !== 0, LARGEST_PACKET, TIMEOUT_V6)
    if (slot < 0) return -1
    const start = this.#payloadOf(slot) - IPV6_HEADER_LENGTH
    if (position === 0) {
      this.#arena.copy(networkOffset, start, IPV6_HEADER_LENGTH)
      // The next header in the first fragment counts (RFC 8200, section 4.5).
      // RFC 8200 4.5 (next-header) MUST: the next header of the first fragment counts
      this.#nextHeader[slot] = view.getUint8(fragmentOffset)
    }
    return this.#isComplete(slot) ? this.#finishV6(slot, start) : -1
  }

  /** Frees the slot of the last completed packet. */
  release(): void {
    if (this.#complete >= 0) this.#free(this.#complete)
    this.#complete = -1
  }

  /** Gives up datagrams that have waited too long. Costs one comparison if there are none. */
  expire(): void {
    const now = this.#clock.now
    if (now < this.#earliest) return
    this.#earliest = Number.POSITIVE_INFINITY
    for (let slot = 0; slot < this.#slots; slot++) {
      if (this.#state[slot] === SlotState.free) continue
      // RFC 8200 4.5 (timeout) MUST: reassembly is given up 60 s after the first fragment to arrive
      // RFC 1122 3.3.2 (timeout) MUST: reassembly of IPv4 is given up after a fixed time
      if (this.#deadline[slot] <= now) this.#giveUp(slot, this.#reasonTimeout)
      else if (this.#deadline[slot] < this.#earliest) this.#earliest = this.#deadline[slot]
    }
  }

  /** Gives up all datagrams, because their sender is gone. */
  clear(): void {
    for (let slot = 0; slot < this.#slots; slot++) {
      if (this.#state[slot] !== SlotState.free) this.#giveUp(slot, this.#reasonGone)
    }
  }

  /** Copies a fragment's payload into its slot. Returns the slot, or -1 if the fragment was dropped. */
  #add(from: number, end: number, position: number, hasMore: boolean, limit: number, timeout: number): number {
    const length = end - from
    const reach = position + length
    // RFC 8200 4.5 (length) MUST: a fragment with others behind it whose length is no multiple of 8 is discarded, and
    //   one that reaches beyond 65,535 bytes
    if (length <= 0 || (hasMore && length % UNIT !== 0) || reach > limit) {
      this.#drops.count(this.#reasonLength)
      return -1
    }
    const slot = this.#find(timeout)
    if (this.#state[slot] === SlotState.spoilt) {
      this.#drops.count(this.#reasonOverlap)
      return -1
    }
    const total = this.#total[slot]
    const contradicts = hasMore ? total >= 0 && reach > total : total >= 0 ? reach !== total : reach < this.#reach[slot]
    // RFC 5722 4 MUST: a datagram of which two fragments overlap is discarded, with what comes of it later
    if (contradicts) return this.#spoil(slot)
    const first = position / UNIT
    const last = Math.ceil(reach / UNIT)
    const present = this.#countUnits(slot, first, last)
    const target = this.#payloadOf(slot) + position
    if (present > 0) {
      if (present < last - first || !this.#holds(target, from, length)) return this.#spoil(slot)
      this.#drops.count(this.#reasonDuplicate)
      return -1
    }
    this.#arena.copy(from, target, length)
    this.#markUnits(slot, first, last)
    this.#units[slot] += last - first
    this.#fragments[slot]++
    if (reach > this.#reach[slot]) this.#reach[slot] = reach
    if (!hasMore) this.#total[slot] = reach
    return slot
  }

  #isComplete(slot: number): boolean {
    return this.#total[slot] >= 0 && this.#units[slot] * UNIT >= this.#total[slot]
  }

  #finishV4(slot: number, start: number): number {
    const { view } = this.#arena
    view.setUint8(start + IPV4_VERSION_AND_LENGTH, 0x45)
    // RFC 1122 3.3.2 MUST: IPv4 datagrams are put together, whatever the order of their fragments
    view.setUint16(start + IPV4_TOTAL_LENGTH, IPV4_HEADER_LENGTH + this.#total[slot])
    view.setUint16(start + IPV4_FLAGS_AND_OFFSET, 0)
    view.setUint16(start + IPV4_CHECKSUM, 0)
    view.setUint16(start + IPV4_CHECKSUM, finishChecksum(this.#arena.sum(start, IPV4_HEADER_LENGTH, 0)))
    this.#complete = slot
    return start
  }

  #finishV6(slot: number, start: number): number {
    const { view } = this.#arena
    // RFC 8200 4.5 (whole) MUST: the payload length is that of the whole, without the fragment header
    view.setUint16(start + IPV6_PAYLOAD_LENGTH, this.#total[slot])
    view.setUint8(start + IPV6_NEXT_HEADER, this.#nextHeader[slot])
    this.#complete = slot
    return start
  }

  /** Returns the slot of the datagram with the current key, or a new one. */
  #find(timeout: number): number {
    this.expire()
    let free = -1
    let oldest = 0
    for (let slot = 0; slot < this.#slots; slot++) {
      if (this.#state[slot] === SlotState.free) {
        free = slot
        continue
      }
      if (this.#matches(slot)) return slot
      if (this.#startedAt[slot] < this.#startedAt[oldest]) oldest = slot
    }
    if (free < 0) {
      this.#giveUp(oldest, this.#reasonEvicted)
      free = oldest
    }
    this.#begin(free, timeout)
    return free
  }

  #begin(slot: number, timeout: number): void {
    const now = this.#clock.now
    this.#keys.set(this.#key, slot * KEY_WORDS)
    if (this.#bitmaps.length === 0) this.#bitmaps = new Int32Array(this.#slots * BITMAP_WORDS)
    this.#bitmaps.fill(0, slot * BITMAP_WORDS, (slot + 1) * BITMAP_WORDS)
    this.#state[slot] = SlotState.collecting
    this.#fragments[slot] = 0
    this.#units[slot] = 0
    this.#reach[slot] = 0
    this.#total[slot] = -1
    this.#startedAt[slot] = now
    this.#deadline[slot] = now + timeout
    if (now + timeout < this.#earliest) this.#earliest = now + timeout
    this.#used++
  }

  #matches(slot: number): boolean {
    const base = slot * KEY_WORDS
    for (let word = 0; word < KEY_WORDS; word++) {
      if (this.#keys[base + word] !== this.#key[word]) return false
    }
    return true
  }

  /** Drops the fragments of a datagram that have arrived, and those still to come. */
  #spoil(slot: number): number {
    this.#drops.count(this.#reasonOverlap, this.#fragments[slot] + 1)
    this.#fragments[slot] = 0
    this.#state[slot] = SlotState.spoilt
    return -1
  }

  #giveUp(slot: number, reason: DropReason): void {
    if (this.#fragments[slot] > 0) this.#drops.count(reason, this.#fragments[slot])
    this.#free(slot)
  }

  #free(slot: number): void {
    this.#state[slot] = SlotState.free
    this.#used--
  }

  #payloadOf(slot: number): number {
    return this.#memory + slot * SLOT_BYTES + HEADER_ROOM
  }

  #countUnits(slot: number, first: number, last: number): number {
    let count = 0
    for (let unit = first; unit < last; ) {
      const word = this.#bitmaps[slot * BITMAP_WORDS + (unit >> 5)]
      if ((unit & 31) === 0 && word === 0) unit += 32
      else {
        count += (word >>> (unit & 31)) & 1
        unit++
      }
    }
    return count
  }

  #markUnits(slot: number, first: number, last: number): void {
    for (let unit = first; unit < last; ) {
      const index = slot * BITMAP_WORDS + (unit >> 5)
      if ((unit & 31) === 0 && unit + 32 <= last) {
        this.#bitmaps[index] = -1
        unit += 32
      } else {
        this.#bitmaps[index] |= 1 << (unit & 31)
        unit++
      }
    }
  }

  #holds(offset: number, other: number, length: number): boolean {
    const { bytes } = this.#arena
    for (let index = 0; index < length; index++) {
      if (bytes[offset + index] !== bytes[other + index]) return false
    }
    return true
  }
}
