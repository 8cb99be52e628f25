/**
 * Frames from the guest: checked once, at layer 2 and 3, and grouped into sequences for the stack.
 *
 * Consecutive packets with the same source and destination (Ethernet source included), protocol and ports become one
 * {@link Sequence}; a packet without ports is a sequence of its own. The one instance is filled again and again.
 * Whatever a frame contains, the outcome is a call of a handler or a counted drop. Nothing here allocates or copies,
 * except the reassembly of fragments in the slots of {@link Reassembly}.
 *
 * Checked are: the Ethernet header; for IPv4 (RFC 791; RFC 1122, section 3.2.1) version, header and total length,
 * checksum and validity of the addresses, options being skipped; for IPv6 (RFC 8200) version, payload length,
 * addresses, and the extension headers, see {@link ExtensionHeaders}. A tag that has only a priority is skipped. Not
 * checked: the time to live, and everything from the transport header on.
 *
 * Frames to another station of the link, which a bridge floods, are not for us. A destination is another station if
 * frames came from it in the last five minutes. Frames to any other Ethernet destination are accepted: it may be that
 * of a neighbour of the host, or an older address of ours that the guest still uses.
 */
import {
  type Arena,
  type Clock,
  type Drops,
  ETHERNET_HEADER_LENGTH,
  ETHERNET_MTU,
  ETHERNET_SOURCE,
  ETHERNET_TARGET,
  ETHERNET_TYPE,
  EtherType,
  FrameBatch,
  foldSum,
  IPV4_CHECKSUM,
  IPV4_DONT_FRAGMENT,
  IPV4_FLAGS_AND_OFFSET,
  IPV4_FRAGMENT_OFFSET_MASK,
  IPV4_HEADER_LENGTH,
  IPV4_IDENTIFICATION,
  IPV4_MORE_FRAGMENTS,
  IPV4_SOURCE,
  IPV4_TARGET,
  IPV4_TIME_TO_LIVE,
  IPV4_TOTAL_LENGTH,
  IPV6_HEADER_LENGTH,
  IPV6_HOP_LIMIT,
  IPV6_NEXT_HEADER,
  IPV6_PAYLOAD_LENGTH,
  IPV6_SOURCE,
  IPV6_TARGET,
  type Link,
  type MacAddress,
  type PacketReceiver,
  Segmentation,
  SequenceBuffer,
  VLAN_IDENTIFIER_MASK,
  VLAN_TAG_LENGTH,
} from "@demiflow/core"
import type { GuestAddresses } from "../neighbours/guest-addresses.ts"
import { ExtensionHeaders } from "./extension-headers.ts"
import { HeaderRefusal } from "./header-refusal.ts"
import { checkV6Addresses, hasV6Addresses } from "./ipv6-addresses.ts"
import { FromGuestReasons, PASSED, type Verdict } from "./reasons.ts"
import { Reassembly } from "./reassembly.ts"

/** An EtherType field with a smaller value is the length of an IEEE 802.3 frame. */
const SMALLEST_ETHERTYPE = 0x0600
/**
 * Ethernet header, tag, and an IP packet of 1,500 bytes. The sender of a longer frame can also receive frames of that
 * length.
 */
const LARGEST_PLAIN_FRAME = ETHERNET_HEADER_LENGTH + VLAN_TAG_LENGTH + ETHERNET_MTU
/** Microseconds of a turn after which no further batch is begun: a batch of 64 datagrams may open 64 sockets. */
const TURN = 2_000
/** Frames in a batch if a full one takes longer than that, because a turn can end only between batches. */
const FEW = 8
const NOT_MEASURED = -1
/** The sum over a valid header. */
const ALL_ONES = 0xffff

/** The path from the link to the stack. */
export class FramesFromGuest {
  readonly #link: Link
  readonly #clock: Clock
  readonly #arena: Arena
  readonly #view: DataView
  readonly #drops: Drops
  readonly #guest: GuestAddresses
  readonly #ourMac: MacAddress
  readonly #batch: FrameBatch
  readonly #fewFrames: FrameBatch
  /** True if frames take long: small batches are taken then. */
  #isSlow = false
  /** True if the last turn ended before the link was empty: the time for frames is measured then. */
  #wasOver = false
  readonly #sequence: SequenceBuffer
  readonly #reasons: FromGuestReasons
  readonly #headers: ExtensionHeaders
  readonly #reassembly: Reassembly
  #stack: PacketReceiver | undefined
  #refusal: HeaderRefusal | undefined
  /** The first four bytes of the transport header if they are ports: the packets of a sequence share them. */
  #ports = 0
  /** True if the last call of `receive` may have left frames on the link. */
  isLeft = false
  /** True if the current packet has no ports, and so can't share a sequence. */
  #isAlone = false
  /** The current frame. */
  #frame = 0
  #macHigh = 0
  #macLow = 0

  constructor(
    link: Link,
    clock: Clock,
    drops: Drops,
    guest: GuestAddresses,
    ourMac: MacAddress,
    batchSize: number,
    slots: number,
    arena: Arena,
  ) {
    this.#link = link
    this.#clock = clock
    this.#arena = link.arena
    this.#view = link.arena.view
    this.#drops = drops
    this.#guest = guest
    this.#ourMac = ourMac
    this.#batch = new FrameBatch(batchSize)
    this.#fewFrames = new FrameBatch(Math.min(FEW, batchSize))
    this.#sequence = new SequenceBuffer(batchSize)
    this.#reasons = new FromGuestReasons(drops)
    this.#headers = new ExtensionHeaders(this.#view, this.#reasons)
    this.#reassembly = new Reassembly(arena, clock, drops, slots)
  }

  attach(stack: PacketReceiver): void {
    this.#stack = stack
    this.#refusal = new HeaderRefusal(stack.parts, this.#headers)
  }

  /** Discards fragments, because another guest may come, which has no use for them. */
  forgetGuest(): void {
    this.#reassembly.clear()
  }

  /** See `TapSide.receive`. */
  receive(budget: number): number {
    this.#reassembly.expire()
    let handled = 0
    const clock = this.#clock
    let spent = this.#isSlow || this.#wasOver ? (clock.spent?.() ?? 0) : NOT_MEASURED
    this.#wasOver = false
    this.isLeft = true
    while (handled < budget) {
      const batch = this.#isSlow ? this.#fewFrames : this.#batch
      const count = this.#link.receive(batch)
      if (count < 0) {
        // An error behind frames is for the next call.
        this.isLeft = handled > 0
        return handled > 0 ? handled : count
      }
      if (this.#guest.reconnection.awaitsFrame) this.#noticeFirst(batch, count)
      for (let index = 0; index < count; index++) {
        const verdict = this.#ethernet(batch, index)
        if (verdict !== PASSED) this.#drops.count(verdict)
      }
      this.#deliver()
      handled += count
      if (count < batch.capacity) {
        // The end of the link is behind these frames, and nothing else would report it.
        this.isLeft = handled > 0 && this.#link.isOver === true
        break
      }
      const before = spent
      spent = clock.spent?.() ?? 0
      // Scaled to a full batch, at the pace of these frames.
      if (before !== NOT_MEASURED) this.#isSlow = (spent - before) * this.#batch.capacity >= TURN * count
      // The remaining frames on the link wait for the next turn, so that other work gets its time.
      this.#wasOver = spent >= TURN
      if (this.#wasOver) break
    }
    return handled
  }

  /** Detects the first frame of a station after an interruption of the link. */
  #noticeFirst(batch: FrameBatch, count: number): void {
    const { reconnection } = this.#guest
    for (let index = 0; index < count && reconnection.awaitsFrame; index++) {
      if (batch.length[index] < ETHERNET_HEADER_LENGTH) continue
      this.#guest.noticeFirst(this.#sequence.sourceMac.read(this.#view, batch.offset[index] + ETHERNET_SOURCE))
    }
  }

  #ethernet(batch: FrameBatch, index: number): Verdict {
    const view = this.#view
    const frame = batch.offset[index]
    const length = batch.length[index]
    if (length < ETHERNET_HEADER_LENGTH) return this.#reasons.ethernetShort
    const high = view.getUint16(frame + ETHERNET_SOURCE)
    const low = view.getInt32(frame + ETHERNET_SOURCE + 2)
    if ((high & 0x0100) !== 0 || (high | low) === 0) return this.#reasons.ethernetSource
    if (this.#isForAnotherStation(frame)) return this.#reasons.ethernetTarget
    this.#frame = frame
    this.#macHigh = high
    this.#macLow = low
    let type = view.getUint16(frame + ETHERNET_TYPE)
    let network = frame + ETHERNET_HEADER_LENGTH
    if (type === EtherType.vlan) {
      if (length < ETHERNET_HEADER_LENGTH + VLAN_TAG_LENGTH) return this.#reasons.ethernetShort
      // VLAN 0 means no VLAN: such a tag only has a priority, which we don't use (IEEE 802.1Q, 9.6).
      if ((view.getUint16(network) & VLAN_IDENTIFIER_MASK) !== 0) return this.#reasons.ethernetVlan
      type = view.getUint16(network + 2)
      network += VLAN_TAG_LENGTH
    }
    const segmentSize = batch.segmentation[index] === Segmentation.none ? 0 : batch.segmentSize[index]
    // A checksum that is still to be completed never left the guest's machine, so nothing can have damaged the packet.
    const trusted = batch.checksumTrusted[index] | (batch.checksumStart[index] > 0 ? 1 : 0)
    if (length > LARGEST_PLAIN_FRAME && segmentSize === 0 && (type === EtherType.ipv4 || type === EtherType.ipv6)) {
      this.#guest.stations.noticeMtu(high, low, type === EtherType.ipv4, frame + length - network)
    }
    if (type === EtherType.ipv4) return this.#v4(network, frame + length, segmentSize, trusted, true)
    if (type === EtherType.ipv6) return this.#v6(network, frame + length, segmentSize, trusted, true)
    return this.#other(type, network, frame + length)
  }

  #isForAnotherStation(frame: number): boolean {
    const high = this.#view.getUint16(frame + ETHERNET_TARGET)
    const low = this.#view.getInt32(frame + ETHERNET_TARGET + 2)
    if (low === this.#ourMac.low && high === this.#ourMac.high) return false
    return (high & 0x0100) === 0 && this.#guest.stations.isPresent(high, low)
  }

  /** @param limit arena offset behind the frame, which may be padded */
  #v4(network: number, limit: number, segmentSize: number, trusted: number, mayBeFragment: boolean): Verdict {
    const view = this.#view
    const reasons = this.#reasons
    if (limit - network < IPV4_HEADER_LENGTH) return reasons.v4Short
    const start = view.getUint16(network)
    // RFC 1122 3.2.1.1 MUST: a datagram of another version than 4 is discarded in silence
    if (start >>> 12 !== 4) return reasons.v4Version
    const headerLength = (start >>> 6) & 0x3c
    // RFC 791 3.1 (header-length) MUST: a header has 20 bytes or more
    if (headerLength < IPV4_HEADER_LENGTH) return reasons.v4HeaderLength
    const totalLength = view.getUint16(network + IPV4_TOTAL_LENGTH)
    const end = network + totalLength
    // RFC 791 3.1 (total-length) MUST: the total length covers the header, and no more than has arrived
    if (totalLength < headerLength || end > limit) return reasons.v4TotalLength
    const flags = view.getUint16(network + IPV4_FLAGS_AND_OFFSET)
    const lifeAndProtocol = view.getUint16(network + IPV4_TIME_TO_LIVE)
    const source = view.getInt32(network + IPV4_SOURCE)
    const target = view.getInt32(network + IPV4_TARGET)
    let sum: number
    if (headerLength === IPV4_HEADER_LENGTH) {
      sum = start + totalLength + view.getUint16(network + IPV4_IDENTIFICATION) + flags + lifeAndProtocol
      sum += view.getUint16(network + IPV4_CHECKSUM) + (source >>> 16) + (source & 0xffff)
      sum = foldSum(sum + (target >>> 16) + (target & 0xffff))
      // RFC 1122 3.2.1.8 MUST: options that are not known are skipped in silence
    } else sum = this.#arena.sum(network, headerLength, 0)
    // RFC 1122 3.2.1.2 MUST: a datagram whose header checksum is wrong is discarded in silence
    if (sum !== ALL_ONES) return reasons.v4Checksum

    const transport = network + headerLength
    if (mayBeFragment && (flags & (IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET_MASK)) !== 0) {
      return this.#fragment(EtherType.ipv4, this.#reassembly.addV4(network, transport, end))
    }
    const protocol = lifeAndProtocol & 0xff
    const ports = this.#portsAt(protocol, transport, end)
    const sequence = this.#sequence
    const { forwardingAddress, correspondentAddress } = sequence.demiflow
    if (
      sequence.count === 0 ||
      this.#isAlone ||
      correspondentAddress.word3 !== source ||
      forwardingAddress.word3 !== target ||
      ports !== this.#ports ||
      protocol !== sequence.protocol ||
      sequence.etherType !== EtherType.ipv4 ||
      this.#isFromOtherMac(sequence)
    ) {
      // A source is neither a group nor broadcast, and loopback stays inside its host (RFC 1122, section 3.2.1.3).
      // RFC 1122 3.2.1.3 (source) MUST: a datagram from a group or the broadcast address is discarded in silence
      if (source >>> 28 === 0xe || source === -1) return reasons.v4Source
      // RFC 1122 3.2.1.3 (loopback) MUST: a loopback address does not appear outside its host
      if (source >>> 24 === 127 || target >>> 24 === 127) return reasons.v4Loopback
      this.#deliver()
      this.#begin(sequence, EtherType.ipv4, protocol, ports)
      correspondentAddress.readV4(view, network + IPV4_SOURCE)
      forwardingAddress.readV4(view, network + IPV4_TARGET)
    }
    const dontFragment = (flags & IPV4_DONT_FRAGMENT) === 0 ? 0 : 1
    this.#append(network, transport, end, segmentSize, lifeAndProtocol >>> 8, start & 0xff, dontFragment, trusted)
    return PASSED
  }

  #v6(network: number, limit: number, segmentSize: number, trusted: number, mayBeFragment: boolean): Verdict {
    const view = this.#view
    const reasons = this.#reasons
    if (limit - network < IPV6_HEADER_LENGTH) return reasons.v6Short
    const start = view.getUint16(network)
    if (start >>> 12 !== 6) return reasons.v6Version
    const payload = network + IPV6_HEADER_LENGTH
    const end = payload + view.getUint16(network + IPV6_PAYLOAD_LENGTH)
    // RFC 8200 3 MUST: the payload length covers no more than has arrived
    if (end > limit) return reasons.v6PayloadLength
    const headers = this.#headers
    const verdict = headers.walk(view.getUint8(network + IPV6_NEXT_HEADER), payload, end)
    if (verdict !== PASSED) {
      const isOwed = headers.problemCode >= 0 && checkV6Addresses(view, network, reasons) === PASSED
      if (isOwed) this.#refuse(network, end)
      return verdict
    }
    if (headers.fragmentOffset >= 0) {
      // RFC 8200 4.5 (nested) MUST: what was put together holds no fragment again
      if (!mayBeFragment) return reasons.v6HeaderOrder
      return this.#fragment(EtherType.ipv6, this.#reassembly.addV6(network, headers.fragmentOffset, end))
    }
    const protocol = headers.protocol
    const transport = headers.transportOffset
    const ports = this.#portsAt(protocol, transport, end)
    const sequence = this.#sequence
    if (
      sequence.count === 0 ||
      this.#isAlone ||
      ports !== this.#ports ||
      protocol !== sequence.protocol ||
      sequence.etherType !== EtherType.ipv6 ||
      !hasV6Addresses(view, network, sequence.demiflow) ||
      this.#isFromOtherMac(sequence)
    ) {
      const verdict = checkV6Addresses(view, network, reasons)
      if (verdict !== PASSED) return verdict
      this.#deliver()
      this.#begin(sequence, EtherType.ipv6, protocol, ports)
      sequence.demiflow.correspondentAddress.readV6(view, network + IPV6_SOURCE)
      sequence.demiflow.forwardingAddress.readV6(view, network + IPV6_TARGET)
    }
    const hopLimit = view.getUint8(network + IPV6_HOP_LIMIT)
    // A datagram that its source fragmented may be fragmented again.
    const dontFragment = mayBeFragment ? 1 : 0
    this.#append(network, transport, end, segmentSize, hopLimit, (start >>> 4) & 0xff, dontFragment, trusted)
    return PASSED
  }

  /** Refuses an IPv6 packet whose addresses are valid. The station that sent it may have sent nothing before. */
  #refuse(network: number, end: number): void {
    this.#deliver()
    const { demiflow, sourceMac } = this.#sequence
    sourceMac.high = this.#macHigh
    sourceMac.low = this.#macLow
    this.#guest.noticePacket(demiflow.correspondentAddress.readV6(this.#view, network + IPV6_SOURCE), sourceMac)
    this.#refusal?.send(this.#frame, network, end)
  }

  /** Makes a sequence of a frame that isn't IP. */
  #other(type: number, network: number, end: number): Verdict {
    if (type === EtherType.vlan) return this.#reasons.ethernetVlan
    if (type < SMALLEST_ETHERTYPE) return this.#reasons.ethernetLength
    this.#deliver()
    const sequence = this.#sequence
    this.#begin(sequence, type, -1, 0)
    const { forwardingAddress, correspondentAddress } = sequence.demiflow
    correspondentAddress.word0 =
      correspondentAddress.word1 =
      correspondentAddress.word2 =
      correspondentAddress.word3 =
        0
    forwardingAddress.copyFrom(correspondentAddress)
    this.#append(network, network, end, 0, 0, 0, 0, 0)
    this.#deliver()
    return PASSED
  }

  /** @param whole arena offset of the packet that a fragment completed, or -1 */
  #fragment(type: number, whole: number): Verdict {
    if (whole < 0) return PASSED
    // The slot's memory is reused afterwards, so the packet is delivered now, after earlier ones.
    const limit = whole + IPV6_HEADER_LENGTH + 65_536
    const isV4 = type === EtherType.ipv4
    const verdict = isV4 ? this.#v4(whole, limit, 0, 0, false) : this.#v6(whole, limit, 0, 0, false)
    this.#deliver()
    this.#reassembly.release()
    return verdict
  }

  #portsAt(protocol: number, transport: number, end: number): number {
    const stack = this.#stack
    if (stack === undefined || !stack.hasPorts(protocol) || end - transport < 4) return 0
    return this.#view.getInt32(transport)
  }

  #isFromOtherMac(sequence: SequenceBuffer): boolean {
    return sequence.sourceMac.low !== this.#macLow || sequence.sourceMac.high !== this.#macHigh
  }

  #begin(sequence: SequenceBuffer, etherType: number, protocol: number, ports: number): void {
    sequence.etherType = etherType
    sequence.protocol = protocol
    sequence.sourceMac.high = this.#macHigh
    sequence.sourceMac.low = this.#macLow
    sequence.targetMac.read(this.#view, this.#frame + ETHERNET_TARGET)
    sequence.demiflow.correspondentPort = ports >>> 16
    sequence.demiflow.forwardingPort = ports & 0xffff
    this.#ports = ports
    this.#isAlone = this.#stack?.hasPorts(protocol) !== true
  }

  #append(
    network: number,
    transport: number,
    end: number,
    segmentSize: number,
    hopLimit: number,
    trafficClass: number,
    dontFragment: number,
    trusted: number,
  ): void {
    const sequence = this.#sequence
    const index = sequence.count
    sequence.networkOffset[index] = network
    sequence.transportOffset[index] = transport
    sequence.endOffset[index] = end
    sequence.segmentSize[index] = segmentSize
    sequence.hopLimit[index] = hopLimit
    sequence.trafficClass[index] = trafficClass
    sequence.dontFragment[index] = dontFragment
    sequence.checksumTrusted[index] = trusted
    sequence.count = index + 1
  }

  #deliver(): void {
    const sequence = this.#sequence
    if (sequence.count === 0) return
    const { demiflow, sourceMac } = sequence
    if (sequence.protocol < 0) this.#guest.noticeMac(sourceMac)
    else this.#guest.noticePacket(demiflow.correspondentAddress, sourceMac)
    this.#stack?.fromGuest(sequence)
    sequence.count = 0
  }
}
