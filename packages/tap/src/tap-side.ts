/**
 * The tap side of a stack: what comes from the guest's link as frames goes to the stack as sequences, and what
 * protocols build leaves as frames.
 */
import type {
  Address,
  Arena,
  Clock,
  Demiflow,
  Drops,
  Guest,
  HostNeighbours,
  Link,
  LinkCapabilities,
  MacAddress,
  Neighbours,
  Random,
  Stack,
} from "@demiflow/core"
import { GuestAddresses, type GuestAddressOptions } from "./guest-addresses.ts"
import type { HostNeighbourOptions } from "./host-neighbour-table.ts"
import { Inbound } from "./inbound.ts"
import { Outbound } from "./outbound.ts"
import { reassemblyBytes } from "./reassembly.ts"

const DEFAULT_BATCH_SIZE = 64
const DEFAULT_TRANSMIT_BYTES = 8 << 20
const DEFAULT_REASSEMBLY_SLOTS = 32
const SPARE_BYTES = 512 << 10
const OUTBOUND_BATCH_SIZE = 256
/** RFC 791, section 3.1: every link carries packets of 68 bytes whole. */
const SMALLEST_MTU = 68
const LARGEST_MTU = 65_535
/** What rounding up may cost, generously. */
const ALIGNMENT_BYTES = 1024

/** How much of the arena the tap side takes, and how much it does at a time. */
export interface TapSizes {
  /** Frames taken from the link at a time, 1 or more; 64 if not given. */
  readonly batchSize?: number
  /** Frames handled in one {@link TapSide.receive}; four batches if not given. */
  readonly budget?: number
  /** Bytes for packets being built or waiting for the end of the turn; 8 MiB if not given. */
  readonly transmitBytes?: number
  /** Datagrams of which fragments may be waiting, 64 KiB each; 32 if not given. */
  readonly reassemblySlots?: number
}

/** What a tap side is made of. */
export interface TapOptions extends TapSizes, GuestAddressOptions, HostNeighbourOptions {
  readonly link: Link
  readonly clock: Clock
  readonly random: Random
  readonly drops: Drops
  /** Largest IP packet that the guest takes, 68–65,535 bytes; the link's if not given or if that is smaller. */
  readonly mtu?: number
  /**
   * Largest IP packet for a station that hasn't shown that it takes larger ones, bytes, for each version of IP. A station
   * shows that by sending one, by agreeing to the MTU in DHCP, or by the segment size that it names in TCP; see also
   * {@link TapSide.noticeMtuOf}. `mtu` if not given or if that is smaller.
   */
  readonly unaskedMtu?: number
  /** Our own Ethernet address. */
  readonly ourMac: MacAddress
  /** The address from which we speak as the guest's router. */
  readonly ourLinkLocal: Address
}

/** Bytes of arena that a tap side with these sizes reserves at most. */
export function tapArenaBytes(sizes: TapSizes = {}): number {
  const { transmitBytes = DEFAULT_TRANSMIT_BYTES, reassemblySlots = DEFAULT_REASSEMBLY_SLOTS } = sizes
  return transmitBytes + reassemblyBytes(reassemblySlots) + SPARE_BYTES + ALIGNMENT_BYTES
}

/** The guest, as a stack sees it. */
export class TapSide implements Guest {
  readonly arena: Arena
  readonly capabilities: LinkCapabilities
  readonly mtu: number
  readonly ourMac: MacAddress
  readonly ourLinkLocal: Address
  readonly #link: Link
  readonly #guest: GuestAddresses
  readonly #inbound: Inbound
  readonly #outbound: Outbound
  readonly #budget: number
  #isAttached = false

  /**
   * Reserves {@link tapArenaBytes} of the link's arena. Throws `ArenaExhaustedError`, and `RangeError` for an MTU out of
   * range.
   */
  constructor(options: TapOptions) {
    const { link, clock, random, drops, batchSize = DEFAULT_BATCH_SIZE } = options
    const mtu = Math.min(options.mtu ?? LARGEST_MTU, link.capabilities.mtu)
    if (!(mtu >= SMALLEST_MTU && mtu <= LARGEST_MTU)) {
      throw new RangeError(`The MTU is ${mtu}: it must be from ${SMALLEST_MTU} to ${LARGEST_MTU}`)
    }
    this.#link = link
    this.arena = link.arena
    this.capabilities = link.capabilities
    this.mtu = mtu
    this.ourMac = options.ourMac.clone()
    this.ourLinkLocal = options.ourLinkLocal.clone()
    const unaskedMtu = Math.min(options.unaskedMtu ?? mtu, mtu)
    this.#guest = new GuestAddresses(clock, random, this.ourMac, unaskedMtu, options)
    this.#budget = options.budget ?? batchSize * 4
    const slots = options.reassemblySlots ?? DEFAULT_REASSEMBLY_SLOTS
    this.#inbound = new Inbound(link, clock, drops, this.#guest, this.ourMac, batchSize, slots)
    this.#outbound = new Outbound(link, clock, drops, random, this.#guest, this.ourMac, mtu, OUTBOUND_BATCH_SIZE, {
      transmitBytes: options.transmitBytes ?? DEFAULT_TRANSMIT_BYTES,
      spareBytes: SPARE_BYTES,
    })
  }

  get guestMac(): MacAddress {
    return this.#guest.mac
  }

  get neighbours(): Neighbours {
    return this.#guest.neighbours
  }

  get hostNeighbours(): HostNeighbours {
    return this.#guest.hostNeighbours
  }

  get lastSeenV4(): Address {
    return this.#guest.v4
  }

  get lastSeenV6(): Address {
    return this.#guest.v6
  }

  get lastSeenLinkLocal(): Address {
    return this.#guest.linkLocal
  }

  hasAddress(address: Address, isAssumed: boolean): boolean {
    return this.#guest.has(address, isAssumed)
  }

  get isCongested(): boolean {
    return this.#link.isCongested ?? false
  }

  /**
   * The link was gone for a while, and is there again. {@link GuestAddressOptions.onOtherGuest} is called if the guest shows
   * to be another one. Call `Stack.reconnected` as well.
   */
  reconnected(): void {
    this.#guest.reconnection.begin()
  }

  /** Another guest may come: what the one before was seen to use is forgotten, and so are pieces of its datagrams. */
  forgetGuest(): void {
    this.#guest.forget()
    this.#inbound.forgetGuest()
  }

  /** Names the stack that packets go to: once, before the first {@link TapSide.receive}. */
  attach(stack: Stack): void {
    this.#inbound.attach(stack)
    this.#isAttached = true
  }

  /**
   * Hands what waits on the link to the stack, until a batch isn't full, the budget is used up, or the turn has taken 2 ms
   * (`Clock.spent`): call it whenever the link is readable, and again as long as it is. Answers the number of frames, or the
   * link's negative error number if it is gone for good. Throws {@link NotAttachedError}.
   *
   * @param budget frames after which to stop, so that other work gets its turn; a batch once begun is finished
   */
  receive(budget: number = this.#budget): number {
    if (!this.#isAttached) throw new NotAttachedError()
    const received = this.#inbound.receive(budget)
    this.#guest.reconnection.settle()
    return received
  }

  begin(demiflow: Demiflow, protocol: number, room: number, hopLimit?: number, station?: MacAddress): number {
    return this.#outbound.begin(demiflow, protocol, room, hopLimit, station)
  }

  redirect(transportOffset: number, demiflow: Demiflow, protocol: number, hopLimit?: number): void {
    this.#outbound.redirect(transportOffset, demiflow, protocol, hopLimit)
  }

  end(
    transportOffset: number,
    length: number,
    checksumOffset: number,
    segmentSize = 0,
    headerLength = 0,
    trafficClass = 0,
  ): void {
    this.#outbound.end(transportOffset, length, checksumOffset, segmentSize, headerLength, trafficClass)
  }

  abandon(transportOffset: number): void {
    this.#outbound.abandon(transportOffset)
  }

  noticeMtu(isV4: boolean, mtu: number): void {
    const { high, low } = this.#guest.mac
    this.#guest.stations.noticeMtu(high, low, isV4, mtu)
  }

  noticePathMtu(address: Address, mtu: number): void {
    if (mtu < this.mtu) this.#guest.paths.notice(address, mtu)
  }

  pathMtu(address: Address): number {
    return Math.min(this.#guest.paths.mtu(address), this.mtu)
  }

  /** Says that a station was set up to take IP packets of `mtu` bytes, of both versions, in one frame. */
  noticeMtuOf({ high, low }: MacAddress, mtu: number): void {
    const { stations } = this.#guest
    stations.notice(high, low)
    for (const isV4 of [true, false]) stations.noticeMtu(high, low, isV4, mtu)
  }

  beginFrame(target: MacAddress, etherType: number, room: number): number {
    return this.#outbound.beginFrame(target, etherType, room)
  }

  endFrame(offset: number, length: number): void {
    this.#outbound.endFrame(offset, length)
  }

  flush(): void {
    this.#outbound.flush()
  }
}

/** The tap side was asked for packets before it knew whom to give them. */
export class NotAttachedError extends Error {
  readonly code = "ERR_TAP_NOT_ATTACHED"

  constructor() {
    super("No stack is attached to the tap side: call attach(stack) before receive()")
    this.name = "NotAttachedError"
  }
}
