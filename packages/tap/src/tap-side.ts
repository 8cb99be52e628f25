/**
 * The tap side of a stack: it turns frames from the guest's link into sequences for the stack, and packets that
 * protocols build into frames.
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
  PacketReceiver,
  Random,
} from "@demiflow/core"
import { FramesFromGuest } from "./from-guest/frames.ts"
import { reassemblyBytes } from "./from-guest/reassembly.ts"
import { GuestAddresses, type GuestAddressOptions } from "./neighbours/guest-addresses.ts"
import type { HostNeighbourOptions } from "./neighbours/host-neighbour-table.ts"
import { PacketsToGuest } from "./to-guest/packets.ts"

const DEFAULT_BATCH_SIZE = 64
const DEFAULT_TRANSMIT_BYTES = 8 << 20
const DEFAULT_REASSEMBLY_SLOTS = 32
const SPARE_BYTES = 512 << 10
const TRANSMIT_BATCH_SIZE = 256
/** The size that every link carries without fragmentation (RFC 791, section 3.2). */
const SMALLEST_MTU = 68
const LARGEST_MTU = 65_535
/** A generous bound on the cost of alignment. */
const ALIGNMENT_BYTES = 1024

/** How much of the arena the tap side takes, and how much work it does at a time. */
export interface TapSizes {
  /** Frames taken from the link at a time, 1 or more; 64 if not given. */
  readonly batchSize?: number
  /** Frames handled in one {@link TapSide.receive}; four batches if not given. */
  readonly budget?: number
  /** Bytes for packets that are being built or that wait for the end of the turn; 8 MiB if not given. */
  readonly transmitBytes?: number
  /** Datagrams whose fragments may be waiting, 64 KiB each; 32 if not given. */
  readonly reassemblySlots?: number
}

/** Options of a {@link TapSide}. */
export interface TapOptions extends TapSizes, GuestAddressOptions, HostNeighbourOptions {
  readonly link: Link
  /** A part of the link's arena to reserve {@link tapArenaBytes} in; the link's arena if not given. */
  readonly arena?: Arena
  readonly clock: Clock
  readonly random: Random
  readonly drops: Drops
  /** Largest IP packet that the guest takes, 68–65,535 bytes; the link's if not given or if that is smaller. */
  readonly mtu?: number
  /**
   * Largest IP packet, in bytes, for a station that hasn't shown that it takes larger ones, for each version of IP. A
   * station shows that by sending one, by agreeing to the MTU in DHCP, or by the segment size that it announces in TCP;
   * see also {@link TapSide.noticeMtuOf}. `mtu` if not given or if that is smaller.
   */
  readonly unaskedMtu?: number
  /** Our own Ethernet address. */
  readonly ourMac: MacAddress
  /** The address that we use as the guest's router. */
  readonly ourLinkLocal: Address
}

/** Returns the bytes of arena that a tap side with these sizes reserves at most. */
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
  readonly #frames: FramesFromGuest
  readonly #packets: PacketsToGuest
  readonly #budget: number
  #isAttached = false

  /**
   * Reserves {@link tapArenaBytes} of the arena. Throws `ArenaExhaustedError`, and `RangeError` for an MTU out
   * of range.
   */
  constructor(options: TapOptions) {
    const { link, clock, random, drops, batchSize = DEFAULT_BATCH_SIZE } = options
    const mtu = Math.min(options.mtu ?? LARGEST_MTU, link.capabilities.mtu)
    if (!(mtu >= SMALLEST_MTU && mtu <= LARGEST_MTU)) {
      throw new RangeError(`The MTU is ${mtu}: it must be from ${SMALLEST_MTU} to ${LARGEST_MTU}`)
    }
    this.#link = link
    this.arena = options.arena ?? link.arena
    this.capabilities = link.capabilities
    this.mtu = mtu
    this.ourMac = options.ourMac.clone()
    this.ourLinkLocal = options.ourLinkLocal.clone()
    const unaskedMtu = Math.min(options.unaskedMtu ?? mtu, mtu)
    this.#guest = new GuestAddresses(clock, random, this.ourMac, unaskedMtu, options)
    this.#budget = options.budget ?? batchSize * 4
    const slots = options.reassemblySlots ?? DEFAULT_REASSEMBLY_SLOTS
    this.#frames = new FramesFromGuest(link, clock, drops, this.#guest, this.ourMac, batchSize, slots, this.arena)
    this.#packets = new PacketsToGuest(
      link,
      clock,
      drops,
      random,
      this.#guest,
      this.ourMac,
      mtu,
      TRANSMIT_BATCH_SIZE,
      {
        transmitBytes: options.transmitBytes ?? DEFAULT_TRANSMIT_BYTES,
        spareBytes: SPARE_BYTES,
      },
      this.arena,
    )
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

  /** True if the last {@link TapSide.receive} may have left frames on the link. */
  get hasFrames(): boolean {
    return this.#frames.isLeft
  }

  /**
   * Call this when the link is back after an interruption. {@link GuestAddressOptions.onOtherGuest} is called if the
   * guest turns out to be another one. Call `Stack.reconnected` as well.
   */
  reconnected(): void {
    this.#guest.reconnection.begin()
  }

  /** Forgets the guest, because another one may come: the addresses that it used, and fragments of its datagrams. */
  forgetGuest(): void {
    this.#guest.forget()
    this.#frames.forgetGuest()
  }

  /** Sets the stack that receives the packets. Call it once, before the first {@link TapSide.receive}. */
  attach(stack: PacketReceiver): void {
    this.#frames.attach(stack)
    this.#packets.attach(stack)
    this.#isAttached = true
  }

  /**
   * Hands frames that wait on the link to the stack, until a batch isn't full, the budget is used up, or the turn has
   * taken 2 ms (`Clock.spent`). Call it when the link is readable, and repeat while it is. Returns the number of
   * frames, or the link's negative error number if the link is gone for good. Throws {@link NotAttachedError}.
   *
   * @param budget frames after which to stop, so that other work gets its turn; a batch that was begun is finished
   */
  receive(budget: number = this.#budget): number {
    if (!this.#isAttached) throw new NotAttachedError()
    const received = this.#frames.receive(budget)
    this.#guest.reconnection.settle()
    return received
  }

  begin(demiflow: Demiflow, protocol: number, room: number, hopLimit?: number, station?: MacAddress): number {
    return this.#packets.begin(demiflow, protocol, room, hopLimit, station)
  }

  hasRoom(room: number, packets = 1): boolean {
    return this.#packets.hasRoom(room, packets)
  }

  redirect(transportOffset: number, demiflow: Demiflow, protocol: number, hopLimit?: number): void {
    this.#packets.redirect(transportOffset, demiflow, protocol, hopLimit)
  }

  end(
    transportOffset: number,
    length: number,
    checksumOffset: number,
    segmentSize = 0,
    headerLength = 0,
    trafficClass = 0,
  ): void {
    this.#packets.end(transportOffset, length, checksumOffset, segmentSize, headerLength, trafficClass)
  }

  abandon(transportOffset: number): void {
    this.#packets.abandon(transportOffset)
  }

  hearAgain(station: MacAddress): void {
    this.#guest.mac.copyFrom(station)
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

  /** Records that a station is configured to take IP packets of `mtu` bytes, of both versions, in one frame. */
  noticeMtuOf({ high, low }: MacAddress, mtu: number): void {
    const { stations } = this.#guest
    stations.notice(high, low)
    for (const isV4 of [true, false]) stations.noticeMtu(high, low, isV4, mtu)
  }

  beginFrame(target: MacAddress, etherType: number, room: number): number {
    return this.#packets.beginFrame(target, etherType, room)
  }

  endFrame(offset: number, length: number): void {
    this.#packets.endFrame(offset, length)
  }

  endTurn(): void {
    this.#packets.endTurn()
  }

  flush(): void {
    this.#packets.flush()
  }
}

/** The tap side was asked for packets before a stack was attached. */
export class NotAttachedError extends Error {
  readonly code = "ERR_TAP_NOT_ATTACHED"

  constructor() {
    super("No stack is attached to the tap side: call attach(stack) before receive()")
    this.name = "NotAttachedError"
  }
}
