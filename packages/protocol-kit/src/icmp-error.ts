/**
 * ICMP errors to the guest, for any protocol: they report what happened to a packet of the guest's, as a router or host
 * on the way would (RFC 792; RFC 4443, section 2.4).
 *
 * The original packet is quoted from its IP header on, as much of it as fits in 576 bytes for IPv4 (RFC 1812,
 * section 4.3.2.3) and 1,280 for IPv6 (RFC 4443, section 2.4 (c)).
 */
import {
  type Address,
  type Arena,
  CHECKSUM_DONE,
  Demiflow,
  finishChecksum,
  type Guest,
  ICMP_CHECKSUM,
  ICMP_CODE,
  ICMP_HEADER_LENGTH,
  ICMP_MTU,
  ICMP_TYPE,
  IcmpType,
  IcmpUnreachable,
  Interface,
  IPV4_CHECKSUM,
  IPV4_DONT_FRAGMENT,
  IPV4_FLAGS_AND_OFFSET,
  IPV4_HEADER_LENGTH,
  IPV4_PROTOCOL,
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
  IpProtocol,
} from "@demiflow/core"

const IPV4_PACKET_LIMIT = 576
const IPV6_PACKET_LIMIT = 1280
const HOP_LIMIT = 64

/** Sends ICMP and ICMPv6 errors that quote a packet of the guest. Holds scratch space; make one per handler. */
export class IcmpErrors {
  readonly #arena: Arena
  readonly #guest: Guest
  readonly #demiflow = new Demiflow(Interface.tap)

  constructor(arena: Arena, guest: Guest) {
    this.#arena = arena
    this.#guest = guest
  }

  /**
   * Sends an error about a packet that the guest sent on the tap side `demiflow`. Does nothing for a packet to a
   * multicast address or if there is no room (an error may always be lost).
   *
   * @param type ICMP type, or ICMPv6 type, by the demiflow's family
   * @param information the four bytes behind the checksum, such as the MTU of "too big"
   * @param reporter source of the error, as the guest knows it; the forwarding address if that is the reporter itself
   * @param protocol IP protocol of the guest's packet
   * @param quoteOffset arena offset of the known part of the guest's transport header and payload
   * @param quoteLength bytes of the known part
   * @param originalLength bytes of transport header and payload that the packet had
   */
  send(
    demiflow: Demiflow,
    type: number,
    code: number,
    information: number,
    reporter: Readonly<Address>,
    protocol: number,
    quoteOffset: number,
    quoteLength: number,
    originalLength: number,
  ): void {
    const isV4 = demiflow.isV4
    const ipLength = isV4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH
    const quoted = Math.min(quoteLength, quoteLimit(isV4) - ipLength)
    const offset = this.#begin(demiflow, type, code, information, reporter, ipLength + quoted)
    if (offset < 0) return
    const inner = offset + ICMP_HEADER_LENGTH
    if (isV4) this.#quoteV4(inner, demiflow, protocol, originalLength, isFragmentationNeeded(type, code))
    else this.#quoteV6(inner, demiflow, protocol, originalLength)
    this.#arena.copy(quoteOffset, inner + ipLength, quoted)
    this.#end(offset, ICMP_HEADER_LENGTH + ipLength + quoted, isV4)
  }

  /**
   * Sends an error that quotes a complete packet in the arena. The packet's destination address is the error's source.
   *
   * @param packetOffset arena offset of the packet's IP header
   * @param packetEnd arena offset behind the packet
   */
  sendAbout(
    demiflow: Demiflow,
    type: number,
    code: number,
    information: number,
    packetOffset: number,
    packetEnd: number,
  ): void {
    const isV4 = demiflow.isV4
    const quoted = Math.min(packetEnd - packetOffset, quoteLimit(isV4))
    const offset = this.#begin(demiflow, type, code, information, demiflow.forwardingAddress, quoted)
    if (offset < 0) return
    this.#arena.copy(packetOffset, offset + ICMP_HEADER_LENGTH, quoted)
    this.#end(offset, ICMP_HEADER_LENGTH + quoted, isV4)
  }

  /** Returns the arena offset of the error's header, or -1. */
  #begin(
    demiflow: Demiflow,
    type: number,
    code: number,
    information: number,
    reporter: Readonly<Address>,
    quoted: number,
  ): number {
    // RFC 1122 3.2.2 MUST NOT: no error is sent about a datagram to a group or broadcast address, or from an address
    //   that is no single host
    // RFC 4443 2.4 MUST NOT: the same over IPv6
    if (demiflow.forwardingAddress.isMulticast || !demiflow.correspondentAddress.isUnicast) return -1
    this.#demiflow.forwardingAddress.copyFrom(reporter)
    this.#demiflow.correspondentAddress.copyFrom(demiflow.correspondentAddress)
    const protocol = demiflow.isV4 ? IpProtocol.icmp : IpProtocol.icmpv6
    const offset = this.#guest.begin(this.#demiflow, protocol, ICMP_HEADER_LENGTH + quoted, HOP_LIMIT)
    if (offset < 0) return -1
    const view = this.#arena.view
    view.setUint8(offset + ICMP_TYPE, type)
    view.setUint8(offset + ICMP_CODE, code)
    view.setUint16(offset + ICMP_CHECKSUM, 0)
    view.setUint32(offset + ICMP_MTU, information)
    return offset
  }

  #end(offset: number, length: number, isV4: boolean): void {
    const view = this.#arena.view
    if (isV4) {
      view.setUint16(offset + ICMP_CHECKSUM, finishChecksum(this.#arena.sum(offset, length, 0)))
      this.#guest.end(offset, length, CHECKSUM_DONE)
    } else this.#guest.end(offset, length, ICMP_CHECKSUM)
  }

  #quoteV4(offset: number, demiflow: Demiflow, protocol: number, originalLength: number, dontFragment: boolean): void {
    const view = this.#arena.view
    this.#arena.bytes.fill(0, offset, offset + IPV4_HEADER_LENGTH)
    view.setUint8(offset, 0x45)
    view.setUint16(offset + IPV4_TOTAL_LENGTH, IPV4_HEADER_LENGTH + originalLength)
    if (dontFragment) view.setUint16(offset + IPV4_FLAGS_AND_OFFSET, IPV4_DONT_FRAGMENT)
    view.setUint8(offset + IPV4_TIME_TO_LIVE, 1)
    view.setUint8(offset + IPV4_PROTOCOL, protocol)
    demiflow.correspondentAddress.writeV4(view, offset + IPV4_SOURCE)
    demiflow.forwardingAddress.writeV4(view, offset + IPV4_TARGET)
    view.setUint16(offset + IPV4_CHECKSUM, finishChecksum(this.#arena.sum(offset, IPV4_HEADER_LENGTH, 0)))
  }

  #quoteV6(offset: number, demiflow: Demiflow, protocol: number, originalLength: number): void {
    const view = this.#arena.view
    view.setUint32(offset, 0x60000000)
    view.setUint16(offset + IPV6_PAYLOAD_LENGTH, originalLength)
    view.setUint8(offset + IPV6_NEXT_HEADER, protocol)
    view.setUint8(offset + IPV6_HOP_LIMIT, 1)
    demiflow.correspondentAddress.writeV6(view, offset + IPV6_SOURCE)
    demiflow.forwardingAddress.writeV6(view, offset + IPV6_TARGET)
  }
}

/** Most bytes of the packet, IP header included, that an error quotes. */
function quoteLimit(isV4: boolean): number {
  const ipLength = isV4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH
  // RFC 4443 2.4 (quote) MUST: an error quotes as much of the packet as fits in 1,280 bytes
  // RFC 1812 4.3.2.3 SHOULD: over IPv4, as much as fits in 576 bytes
  return (isV4 ? IPV4_PACKET_LIMIT : IPV6_PACKET_LIMIT) - ipLength - ICMP_HEADER_LENGTH
}

/** "Fragmentation needed" applies only to packets with "don't fragment" (RFC 792). */
function isFragmentationNeeded(type: number, code: number): boolean {
  return type === IcmpType.destinationUnreachable && code === IcmpUnreachable.fragmentationNeeded
}
