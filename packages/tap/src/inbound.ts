/**
 * Frames from the guest: checked once, at layer 2 and 3, and grouped into sequences for the stack.
 *
 * Neighbouring packets with the same source and destination (Ethernet source included), protocol and ports become one
 * {@link Sequence}, packets without ports one each; there is one instance, filled again and again. Whatever a frame contains, the
 * outcome is a call of a handler or a counted drop. Nothing here allocates or copies, except that fragments are put together
 * in the slots of {@link Reassembly}.
 *
 * Checked are: the Ethernet header; for IPv4 (RFC 791; RFC 1122, section 3.2.1) version, header and total length,
 * checksum and the sanity of the addresses, options being skipped; for IPv6 (RFC 8200) version, payload length,
 * addresses, and the extension headers, see {@link ExtensionHeaders}. A tag that has a priority alone is skipped. Not
 * checked: the time to live, and everything from the transport header on.
 *
 * Frames to another station of the link, which a bridge floods, are not ours. Another station is one that frames came from
 * in the last five minutes. Any other Ethernet destination may be ours: that of a neighbour of the host, and the guest may
 * know us by an older address.
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
  Segmentation,
  Sequence,
  type Stack,
  VLAN_IDENTIFIER_MASK,
  VLAN_TAG_LENGTH,
} from "@demiflow/core"
import { ExtensionHeaders } from "./extension-headers.ts"
import type { GuestAddresses } from "./guest-addresses.ts"
import { HeaderRefusal } from "./header-refusal.ts"
import { InboundReasons, PASSED, type Verdict } from "./inbound-reasons.ts"
import { checkV6Addresses, hasV6Addresses } from "./ipv6-addresses.ts"
import { Reassembly } from "./reassembly.ts"

/** An EtherType field below this is the length of an IEEE 802.3 frame. */
const SMALLEST_ETHERTYPE = 0x0600
/** Ethernet header, tag, and an IP packet of 1,500 bytes: the sender of a longer frame takes such ones as well. */
const LARGEST_PLAIN_FRAME = ETHERNET_HEADER_LENGTH + VLAN_TAG_LENGTH + ETHERNET_MTU
/** Microseconds of a turn after which no other batch is begun: of 64 datagrams, each may have a socket opened. */
const TURN = 2_000
/** Frames of a batch where a whole one takes longer than that: it is only between batches that a turn can end. */
const FEW = 8
const NOT_MEASURED = -1
/** What a right header adds up to. */
const ALL_ONES = 0xffff

/** The way from the link to the stack. */
export class Inbound {
  readonly #link: Link
  readonly #clock: Clock
  readonly #arena: Arena
  readonly #view: DataView
  readonly #drops: Drops
  readonly #guest: GuestAddresses
  readonly #ourMac: MacAddress
  readonly #batch: FrameBatch
  readonly #fewFrames: FrameBatch
  /** Frames take long: few are taken at a time. */
  #isSlow = false
  /** The last turn was over before the link was empty: what frames take is measured. */
  #wasOver = false
  readonly #sequence: Sequence
  readonly #reasons: InboundReasons
  readonly #headers: ExtensionHeaders
  readonly #reassembly: Reassembly
  #stack: Stack | undefined
  #refusal: HeaderRefusal | undefined
  /** The first four bytes of the transport header, where they are ports: part of what a sequence has in common. */
  #ports = 0
  /** The packets of the sequence in hand have no ports: what they have in common, nobody here knows. */
  #isAlone = false
  /** Of the frame in hand. */
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
    this.#sequence = new Sequence(batchSize)
    this.#reasons = new InboundReasons(drops)
    this.#headers = new ExtensionHeaders(this.#view, this.#reasons)
    this.#reassembly = new Reassembly(link.arena, clock, drops, slots)
  }

  attach(stack: Stack): void {
    this.#stack = stack
    this.#refusal = new HeaderRefusal(stack.parts, this.#headers)
  }

  /** Another guest may come: pieces of the one before are of no use to it. */
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
    while (handled < budget) {
      const batch = this.#isSlow ? this.#fewFrames : this.#batch
      const count = this.#link.receive(batch)
      if (count < 0) return handled > 0 ? handled : count
      if (this.#guest.reconnection.awaitsFrame) this.#noticeFirst(batch, count)
      for (let index = 0; index < count; index++) {
        const verdict = this.#ethernet(batch, index)
        if (verdict !== PASSED) this.#drops.count(verdict)
      }
      this.#deliver()
      handled += count
      if (count < batch.capacity) break
      const before = spent
      spent = clock.spent?.() ?? 0
      // As many as a whole batch has, at the pace of these.
      if (before !== NOT_MEASURED) this.#isSlow = (spent - before) * this.#batch.capacity >= TURN * count
      // What is left on the link waits for the next turn, so that others have theirs.
      this.#wasOver = spent >= TURN
      if (this.#wasOver) break
    }
    return handled
  }

  /** Finds the first frame of a station after a while without a link. */
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
      // VLAN 0 stands for none: such a tag has a priority, which we have no use for, and nothing else (IEEE 802.1Q, 9.6).
      if ((view.getUint16(network) & VLAN_IDENTIFIER_MASK) !== 0) return this.#reasons.ethernetVlan
      type = view.getUint16(network + 2)
      network += VLAN_TAG_LENGTH
    }
    const segmentSize = batch.segmentation[index] === Segmentation.none ? 0 : batch.segmentSize[index]
    // A checksum that is still to be completed never left the guest's machine: nothing could have damaged it.
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
    if (start >>> 12 !== 4) return reasons.v4Version
    const headerLength = (start >>> 6) & 0x3c
    if (headerLength < IPV4_HEADER_LENGTH) return reasons.v4HeaderLength
    const totalLength = view.getUint16(network + IPV4_TOTAL_LENGTH)
    const end = network + totalLength
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
    } else sum = this.#arena.sum(network, headerLength, 0)
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
      // RFC 1122, section 3.2.1.3: groups and everybody are no sources, loopback stays inside its host.
      if (source >>> 28 === 0xe || source === -1) return reasons.v4Source
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
    if (end > limit) return reasons.v6PayloadLength
    const headers = this.#headers
    const verdict = headers.walk(view.getUint8(network + IPV6_NEXT_HEADER), payload, end)
    if (verdict !== PASSED) {
      const isOwed = headers.problemCode >= 0 && checkV6Addresses(view, network, reasons) === PASSED
      if (isOwed) this.#refuse(network, end)
      return verdict
    }
    if (headers.fragmentOffset >= 0) {
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
    // A datagram that its source cut may be cut again.
    const dontFragment = mayBeFragment ? 1 : 0
    this.#append(network, transport, end, segmentSize, hopLimit, (start >>> 4) & 0xff, dontFragment, trusted)
    return PASSED
  }

  /** Refuses an IPv6 packet whose addresses are right, to the station that sent it: it may have sent nothing before. */
  #refuse(network: number, end: number): void {
    this.#deliver()
    const { demiflow, sourceMac } = this.#sequence
    sourceMac.high = this.#macHigh
    sourceMac.low = this.#macLow
    this.#guest.noticePacket(demiflow.correspondentAddress.readV6(this.#view, network + IPV6_SOURCE), sourceMac)
    this.#refusal?.send(this.#frame, network, end)
  }

  /** A frame that isn't IP is a sequence of its own. */
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
    // The memory is free for other fragments afterwards, so what is in it is delivered now, behind what came before.
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

  #isFromOtherMac(sequence: Sequence): boolean {
    return sequence.sourceMac.low !== this.#macLow || sequence.sourceMac.high !== this.#macHigh
  }

  #begin(sequence: Sequence, etherType: number, protocol: number, ports: number): void {
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
    this.#stack?.fromTap(sequence)
    sequence.count = 0
  }
}
