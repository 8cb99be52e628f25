/**
 * Packets to the guest, built in place.
 *
 * The transmit region is used from its start, packet by packet, and from its start again once everything went to the
 * link: with light traffic the same cache lines serve all packets. Each packet has a slot there:
 *
 *     slot                      lead          transportOffset = slot + lead
 *     | notes (16 bytes) | headroom | Ethernet | IP | transport header, payload …
 *
 * The transport header is at the same distance from the slot for both versions of IP and for frames that aren't IP. So
 * the handler's offset leads to the slot, with the notes that `begin` leaves for `end`. There is no list of open
 * packets: any number of them may be open, and they may be ended in any order.
 *
 * A packet that a handler begins and forgets is abandoned at the end of the turn, and counted under the handler's name.
 * Otherwise it would keep its place, and the region would fill up.
 *
 * What does not leave as one frame (segments that the link can't cut, packets over the MTU) is copied in pieces to
 * separate memory; see {@link Cutter}.
 */
import {
  Address,
  type Arena,
  CHECKSUM_DONE,
  type Clock,
  type Demiflow,
  type DropReason,
  type Drops,
  ETHERNET_HEADER_LENGTH,
  ETHERNET_TARGET,
  EtherType,
  type HostNeighbours,
  IPV4_DONT_FRAGMENT,
  IPV4_HEADER_LENGTH,
  IPV6_HEADER_LENGTH,
  IPV6_PAYLOAD_LENGTH,
  IPV6_TARGET,
  IpProtocol,
  type Link,
  type LinkCapabilities,
  type MacAddress,
  type PacketReceiver,
  type Random,
  Segmentation,
  type SegmentationId,
  SMALLEST_FRAME,
} from "@demiflow/core"
import type { GuestAddresses } from "../neighbours/guest-addresses.ts"
import { Cutter, completeChecksum } from "./cutter.ts"
import { FRAME_ALIGNMENT, FrameQueue } from "./frame-queue.ts"
import { beginV4, beginV6, classifyV6, completeV4, pseudoHeaderSum, writeEthernet } from "./headers.ts"
import type { PathMtus } from "./path-mtus.ts"
import { Targets } from "./targets.ts"

const LARGEST_PACKET = 65_535
/** RFC 4861 requires 255 for its messages, and we are one hop away from the guest. */
const DEFAULT_HOP_LIMIT = 255

/** Notes at the start of a slot, as indices of 32-bit words. */
const NOTE_SLOT_END = 0
const NOTE_STATE = 1
const NOTE_ADDRESS_SUM = 2
const NOTE_LIFE_AND_PROTOCOL = 3
const NOTES_BYTES = 16

/** The number of the handler that began the packet is in the bits above the state. */
const HANDLER_SHIFT = 8
const STATE_MASK = 0xff

const SlotState = { taken: 0, openV4: 1, openV6: 2, openFrame: 3, queued: 4 } as const

/** Sizes of the reserved regions, bytes. */
export interface ToGuestSizes {
  /** Packets that are being built or wait for the link. */
  readonly transmitBytes: number
  /** Pieces of packets that were cut. */
  readonly spareBytes: number
}

/** The path from the handlers to the link. */
export class PacketsToGuest {
  readonly #arena: Arena
  readonly #view: DataView
  readonly #words: Int32Array
  readonly #drops: Drops
  readonly #guest: GuestAddresses
  readonly #targets: Targets
  readonly #hostNeighbours: HostNeighbours
  readonly #ourMac: MacAddress
  readonly #mtu: number
  readonly #paths: PathMtus
  readonly #queue: FrameQueue
  readonly #cutter: Cutter
  readonly #capabilities: LinkCapabilities
  readonly #lead: number
  /** Room for padding behind an Ethernet header, in a slot of any kind. */
  readonly #smallestRoom: number
  readonly #start: number
  readonly #end: number
  /** Reasons of packets without room, by the number of their handler and 1. */
  readonly #noRoom: DropReason[] = []
  readonly #tooLong: DropReason
  #stack: PacketReceiver | undefined
  readonly #destination = new Address()
  #next: number
  #open = 0

  constructor(
    link: Link,
    clock: Clock,
    drops: Drops,
    random: Random,
    guest: GuestAddresses,
    ourMac: MacAddress,
    mtu: number,
    batchSize: number,
    sizes: ToGuestSizes,
    arena: Arena,
  ) {
    const { capabilities } = link
    this.#arena = arena
    this.#view = arena.view
    this.#words = arena.words
    this.#drops = drops
    this.#guest = guest
    this.#hostNeighbours = guest.hostNeighbours
    this.#targets = new Targets(clock, guest)
    this.#ourMac = ourMac
    this.#mtu = mtu
    this.#paths = guest.paths
    this.#queue = new FrameQueue(link, drops, batchSize, sizes.spareBytes, arena)
    this.#cutter = new Cutter(link, random, this.#queue)
    this.#capabilities = capabilities
    this.#lead = (NOTES_BYTES + capabilities.headroom + ETHERNET_HEADER_LENGTH + IPV6_HEADER_LENGTH + 15) & -16
    this.#smallestRoom = (capabilities.smallestFrame ?? SMALLEST_FRAME) - ETHERNET_HEADER_LENGTH
    this.#start = arena.reserve(sizes.transmitBytes, FRAME_ALIGNMENT, "packets to the guest")
    this.#end = this.#start + sizes.transmitBytes
    this.#next = this.#start
    this.#tooLong = drops.reason("tap: longer than an IP packet or its room")
  }

  /** Sets the stack whose handlers begin packets. */
  attach(stack: PacketReceiver): void {
    this.#stack = stack
  }

  /** See `Guest.begin`. */
  begin(
    demiflow: Demiflow,
    protocol: number,
    room: number,
    hopLimit: number = DEFAULT_HOP_LIMIT,
    station: MacAddress | undefined = undefined,
  ): number {
    const { correspondentAddress } = demiflow
    const targets = this.#targets
    const target =
      station === undefined ? targets.of(correspondentAddress) : targets.answering(station, correspondentAddress)
    const slot = this.#take(room)
    if (slot < 0) return -1
    const transport = slot + this.#lead
    this.#address(transport, demiflow, protocol, hopLimit, target)
    return transport
  }

  /** See `Guest.redirect`. */
  redirect(transport: number, demiflow: Demiflow, protocol: number, hopLimit: number = DEFAULT_HOP_LIMIT): void {
    const state = this.#words[((transport - this.#lead) >> 2) + NOTE_STATE] & STATE_MASK
    if (state !== SlotState.openV4 && state !== SlotState.openV6) return
    this.#address(transport, demiflow, protocol, hopLimit, this.#targets.of(demiflow.correspondentAddress))
  }

  /** Writes the headers of a packet, and the notes about them. */
  #address(
    transport: number,
    demiflow: Demiflow,
    protocol: number,
    hopLimit: number,
    target: Readonly<MacAddress>,
  ): void {
    const isV4 = demiflow.correspondentAddress.isV4
    const network = transport - (isV4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH)
    const view = this.#view
    const source = this.#hostNeighbours.macOf(demiflow.forwardingAddress)
    writeEthernet(view, network - ETHERNET_HEADER_LENGTH, source, target, isV4 ? EtherType.ipv4 : EtherType.ipv6)
    const lifeAndProtocol = (hopLimit << 8) | protocol
    const words = this.#words
    const notes = (transport - this.#lead) >> 2
    words[notes + NOTE_STATE] = (words[notes + NOTE_STATE] & ~STATE_MASK) | (isV4 ? SlotState.openV4 : SlotState.openV6)
    words[notes + NOTE_ADDRESS_SUM] = isV4
      ? beginV4(view, network, demiflow, lifeAndProtocol)
      : beginV6(view, network, demiflow, protocol, hopLimit)
    words[notes + NOTE_LIFE_AND_PROTOCOL] = lifeAndProtocol
  }

  /** See `Guest.end`. */
  end(
    transport: number,
    length: number,
    checksumOffset: number,
    segmentSize: number,
    headerLength: number,
    trafficClass: number,
  ): void {
    const slot = transport - this.#lead
    const notes = slot >> 2
    const state = this.#words[notes + NOTE_STATE] & STATE_MASK
    if (state !== SlotState.openV4 && state !== SlotState.openV6) return
    this.#open--
    const isV4 = state === SlotState.openV4
    const ipLength = isV4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH
    const total = ipLength + length
    if (transport + length > this.#words[notes + NOTE_SLOT_END] || (isV4 ? total : length) > LARGEST_PACKET) {
      this.#drops.count(this.#tooLong)
      this.#giveBack(slot)
      return
    }
    const addressSum = this.#words[notes + NOTE_ADDRESS_SUM]
    const lifeAndProtocol = this.#words[notes + NOTE_LIFE_AND_PROTOCOL]
    const protocol = lifeAndProtocol & 0xff
    const view = this.#view
    const network = transport - ipLength
    if (!isV4 && trafficClass !== 0) classifyV6(view, network, trafficClass)
    // Pieces are at most as large as requested: for most of them, the station's MTU makes no difference.
    const largest = segmentSize > 0 ? Math.min(ipLength + headerLength + segmentSize, total) : total
    const mtu = largest > this.#paths.certain ? this.#mtuTowards(network, isV4, protocol) : this.#mtu
    const room = mtu - ipLength - headerLength
    // TCP may be cut smaller than requested. A datagram keeps its size, and becomes fragments if it doesn't fit.
    const size = protocol === IpProtocol.tcp && room > 0 ? Math.min(segmentSize, room) : segmentSize
    const isCut = size > 0 && length - headerLength > size
    const linkCuts = isCut && size <= room && this.#linkCuts(protocol)
    if (!linkCuts && (isCut || total > mtu)) {
      const cutter = this.#cutter
      cutter.take(transport, length, isV4, lifeAndProtocol, addressSum, trafficClass, mtu)
      if (isCut && protocol === IpProtocol.tcp) cutter.cutTcp(size, headerLength)
      else if (isCut && protocol === IpProtocol.udp) cutter.cutUdp(size)
      else cutter.cutNothing(checksumOffset)
      this.#giveBack(slot)
      return
    }

    if (!isV4) view.setUint16(network + IPV6_PAYLOAD_LENGTH, length)
    else if (protocol === IpProtocol.tcp) {
      completeV4(view, network, total, 0, IPV4_DONT_FRAGMENT, lifeAndProtocol, addressSum, trafficClass)
    } else completeV4(view, network, total, this.#cutter.identify(), 0, lifeAndProtocol, addressSum, trafficClass)

    const frame = network - ETHERNET_HEADER_LENGTH
    const queue = this.#queue
    const index = queue.next()
    const { batch } = queue
    const frameLength = queue.pad(frame, ETHERNET_HEADER_LENGTH + total)
    batch.setPlain(index, frame, frameLength)
    if (linkCuts) {
      batch.segmentation[index] = segmentationOf(protocol, isV4)
      batch.segmentSize[index] = size
      batch.headerLength[index] = ETHERNET_HEADER_LENGTH + ipLength + headerLength
    }
    if (checksumOffset !== CHECKSUM_DONE) {
      const pseudo = pseudoHeaderSum(addressSum, protocol, length)
      if (this.#capabilities.checksumOffload) {
        view.setUint16(transport + checksumOffset, pseudo)
        batch.checksumStart[index] = ETHERNET_HEADER_LENGTH + ipLength
        batch.checksumOffset[index] = checksumOffset
      } else completeChecksum(this.#arena, transport, length, checksumOffset, protocol, pseudo)
    }
    this.#keep(slot, frame + frameLength)
  }

  /** A link that cuts also computes the checksums of the pieces. */
  #linkCuts(protocol: number): boolean {
    const { checksumOffload, tcpSegmentation, udpSegmentation } = this.#capabilities
    if (!checksumOffload) return false
    return protocol === IpProtocol.tcp ? tcpSegmentation : protocol === IpProtocol.udp && udpSegmentation
  }

  /** See `Guest.abandon`. */
  abandon(transport: number): void {
    const words = this.#words
    const slot = transport - this.#lead
    let isFree = true
    for (let next = slot; next < this.#next; next = words[(next >> 2) + NOTE_SLOT_END]) {
      const state = words[(next >> 2) + NOTE_STATE] & STATE_MASK
      if (state === SlotState.queued) isFree = false
      else if (state !== SlotState.taken) {
        words[(next >> 2) + NOTE_STATE] = SlotState.taken
        this.#open--
      }
    }
    if (isFree && slot < this.#next) this.#next = slot
  }

  /** See `Guest.beginFrame`. */
  beginFrame(target: MacAddress, etherType: number, room: number): number {
    const slot = this.#take(room)
    if (slot < 0) return -1
    const offset = slot + this.#lead
    writeEthernet(this.#view, offset - ETHERNET_HEADER_LENGTH, this.#ourMac, target, etherType)
    this.#words[(slot >> 2) + NOTE_STATE] |= SlotState.openFrame
    return offset
  }

  /** See `Guest.endFrame`. */
  endFrame(offset: number, length: number): void {
    const slot = offset - this.#lead
    const notes = slot >> 2
    if ((this.#words[notes + NOTE_STATE] & STATE_MASK) !== SlotState.openFrame) return
    this.#open--
    if (offset + length > this.#words[notes + NOTE_SLOT_END] || length > this.#mtu) {
      this.#drops.count(this.#tooLong)
      this.#giveBack(slot)
      return
    }
    const frame = offset - ETHERNET_HEADER_LENGTH
    const index = this.#queue.next()
    const frameLength = this.#queue.pad(frame, ETHERNET_HEADER_LENGTH + length)
    this.#queue.batch.setPlain(index, frame, frameLength)
    this.#keep(slot, frame + frameLength)
  }

  /** See `Guest.flush`. */
  flush(): void {
    this.#queue.send()
    if (this.#open === 0) this.#next = this.#start
  }

  /** See `Guest.endTurn`. */
  endTurn(): void {
    if (this.#open > 0) this.#abandonForgotten()
    this.flush()
  }

  /** Abandons packets that were begun and neither ended nor abandoned, and counts them. */
  #abandonForgotten(): void {
    const words = this.#words
    for (let slot = this.#start; slot < this.#next; slot = words[(slot >> 2) + NOTE_SLOT_END]) {
      const note = words[(slot >> 2) + NOTE_STATE]
      const state = note & STATE_MASK
      if (state === SlotState.taken || state === SlotState.queued) continue
      this.#drops.count(this.#drops.reason(`tap: begun and not ended (${this.#nameOf(note >> HANDLER_SHIFT)})`))
      // Should its handler end it after all, it is no longer open.
      words[(slot >> 2) + NOTE_STATE] = SlotState.taken
    }
    this.#open = 0
  }

  /**
   * Returns the MTU for the packet at `network`: that of the station it goes to and, where we must know it, of the
   * links behind. An IPv6 packet can be fragmented only by its source, but routers fragment IPv4 packets. TCP
   * connections know the size of their segments.
   */
  #mtuTowards(network: number, isV4: boolean, protocol: number): number {
    const target = network - ETHERNET_HEADER_LENGTH + ETHERNET_TARGET
    const { stations } = this.#guest
    const known = stations.mtu(this.#view.getUint16(target), this.#view.getInt32(target + 2), isV4)
    const mtu = known < this.#mtu ? known : this.#mtu
    if (isV4 || protocol === IpProtocol.tcp) return mtu
    const path = this.#paths.mtu(this.#destination.readV6(this.#view, network + IPV6_TARGET))
    return path < mtu ? path : mtu
  }

  /** See `Guest.hasRoom`. */
  hasRoom(room: number, packets: number): boolean {
    const size = this.#lead + Math.max(room, this.#smallestRoom)
    const others = (packets - 1) * ((size + FRAME_ALIGNMENT - 1) & -FRAME_ALIGNMENT)
    const needed = others + size
    if (needed > this.#end - this.#start) return false
    // Once the first of them is open, what waits can no longer give its memory.
    if (this.#next + needed > this.#end && this.#open === 0) this.flush()
    return this.#next + needed <= this.#end
  }

  #take(room: number): number {
    const size = this.#lead + Math.max(room, this.#smallestRoom)
    if (this.#next + size > this.#end) {
      if (this.#open === 0) this.flush()
      if (this.#next + size > this.#end) {
        this.#countNoRoom(this.#stack?.running ?? -1)
        return -1
      }
    }
    const slot = this.#next
    this.#next = slot + ((size + FRAME_ALIGNMENT - 1) & -FRAME_ALIGNMENT)
    this.#words[(slot >> 2) + NOTE_SLOT_END] = this.#next
    this.#words[(slot >> 2) + NOTE_STATE] = (this.#stack?.running ?? -1) << HANDLER_SHIFT
    this.#open++
    return slot
  }

  /** A guest that takes nothing may cause this for each packet: the name is put together once. */
  #countNoRoom(handler: number): void {
    this.#noRoom[handler + 1] ??= this.#drops.reason(`tap: no room for a packet (${this.#nameOf(handler)})`)
    this.#drops.count(this.#noRoom[handler + 1])
  }

  /** Keeps a slot until the next flush. If it is the last slot, its unused end is given back. */
  #keep(slot: number, end: number): void {
    const notes = slot >> 2
    this.#words[notes + NOTE_STATE] = SlotState.queued
    if (this.#words[notes + NOTE_SLOT_END] !== this.#next) return
    this.#next = (end + FRAME_ALIGNMENT - 1) & -FRAME_ALIGNMENT
    this.#words[notes + NOTE_SLOT_END] = this.#next
  }

  #nameOf(handler: number | undefined): string {
    return this.#stack?.handlers[handler ?? -1]?.name ?? "nobody"
  }

  /** Gives a slot back, because nothing in it is needed. */
  #giveBack(slot: number): void {
    const notes = slot >> 2
    this.#words[notes + NOTE_STATE] = SlotState.taken
    if (this.#words[notes + NOTE_SLOT_END] === this.#next) this.#next = slot
  }
}

function segmentationOf(protocol: number, isV4: boolean): SegmentationId {
  if (protocol === IpProtocol.udp) return Segmentation.udp
  return isV4 ? Segmentation.tcp4 : Segmentation.tcp6
}
