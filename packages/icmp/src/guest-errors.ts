/**
 * ICMP errors from the guest's side about packets sent to it (RFC 792; RFC 4443, section 3): a guest may be a router,
 * with a link behind it that has a smaller MTU than ours. We find the flow of the quoted packet; its protocol decides
 * what to believe (RFC 5927). A "too big" that is believed applies to the whole path to the address (RFC 8201, section
 * 5.2).
 */
import {
  type Arena,
  type Components,
  Demiflow,
  type Guest,
  type GuestError,
  ICMP_CODE,
  ICMP_IDENTIFIER,
  ICMP_MTU,
  ICMP_QUOTE,
  ICMP_TYPE,
  IcmpType,
  IcmpUnreachable,
  Icmpv6Type,
  Interface,
  IPV4_FLAGS_AND_OFFSET,
  IPV4_FRAGMENT_OFFSET_MASK,
  IPV4_HEADER_LENGTH,
  IPV4_PROTOCOL,
  IPV4_SOURCE,
  IPV4_TARGET,
  IPV4_TOTAL_LENGTH,
  IPV6_FRAGMENT_HEADER_LENGTH,
  IPV6_HEADER_LENGTH,
  IPV6_MINIMUM_MTU,
  IPV6_NEXT_HEADER,
  IPV6_SOURCE,
  IPV6_TARGET,
  IpProtocol,
  type Sequence,
} from "@demiflow/core"

/** Bytes of the transport header that an error quotes at least (RFC 792). */
const LEAST_QUOTE = 8
/** Common MTUs, largest first (RFC 1191, section 7.1, without those above Ethernet's). */
const PLATEAUS = [1492, 1006, 508, 296]
/** Smallest MTU taken from an IPv4 error: a smaller one is likely an attack, and would cause many tiny packets. */
const SMALLEST_MTU_V4 = 296

/** Reads ICMP errors from the guest's side. */
export class GuestErrors {
  readonly #arena: Arena
  readonly #guest: Guest
  readonly #report: Components["reportGuestError"]
  readonly #tap = new Demiflow(Interface.tap)
  readonly #error: GuestError = { type: 0, code: 0, mtu: 0, quoteOffset: 0, quoteLength: 0 }

  constructor(components: Components) {
    this.#arena = components.arena
    this.#guest = components.guest
    this.#report = components.reportGuestError
  }

  /** Reports the error in packet `index` of the sequence. Returns false if it is about no flow, or isn't believed. */
  take(sequence: Sequence, index: number): boolean {
    const offset = sequence.transportOffset[index]
    const end = sequence.endOffset[index]
    const { isV4 } = sequence.demiflow
    const protocol = isV4 ? this.#readV4(offset + ICMP_QUOTE, end) : this.#readV6(offset + ICMP_QUOTE, end)
    const error = this.#error
    error.quoteLength = end - error.quoteOffset
    // An error is sent to the source of the packet that it quotes.
    // RFC 1122 3.2.2 (quote) MUST: an error quotes the header and 8 bytes or more
    if (protocol < 0 || error.quoteLength < LEAST_QUOTE) return false
    // RFC 1122 3.2.2 (destination) MUST: an error goes to the source of the packet that it quotes
    if (!this.#tap.forwardingAddress.equals(sequence.demiflow.forwardingAddress)) return false
    if (!this.#readPorts(protocol, isV4)) return false
    const { view } = this.#arena
    error.type = view.getUint8(offset + ICMP_TYPE)
    error.code = view.getUint8(offset + ICMP_CODE)
    error.mtu = isTooBig(error, isV4) ? this.#mtu(offset, isV4) : 0
    if (!this.#report(protocol, this.#tap, error)) return false
    if (error.mtu > 0) this.#guest.noticePathMtu?.(this.#tap.correspondentAddress, error.mtu)
    return true
  }

  /** Reads the ports, or the identifier, of the quoted header. Returns false if we send no packet that begins so. */
  #readPorts(protocol: number, isV4: boolean): boolean {
    const { view } = this.#arena
    const { quoteOffset } = this.#error
    if (protocol === (isV4 ? IpProtocol.icmp : IpProtocol.icmpv6)) {
      if (view.getUint8(quoteOffset + ICMP_TYPE) !== (isV4 ? IcmpType.echoReply : Icmpv6Type.echoReply)) return false
      this.#tap.forwardingPort = this.#tap.correspondentPort = view.getUint16(quoteOffset + ICMP_IDENTIFIER)
      return true
    }
    this.#tap.forwardingPort = view.getUint16(quoteOffset)
    this.#tap.correspondentPort = view.getUint16(quoteOffset + 2)
    return true
  }

  /**
   * Returns the next hop's MTU: as the error names it, or, if an old router names none, the next smaller plateau.
   * Returns 0 for an MTU below the minimum of IPv6 (RFC 8201, section 4).
   */
  #mtu(offset: number, isV4: boolean): number {
    const { view } = this.#arena
    if (!isV4) {
      const mtu = view.getUint32(offset + ICMP_MTU)
      // RFC 8201 4 MUST NOT: no path of IPv6 is taken to have an MTU below 1280
      return mtu < IPV6_MINIMUM_MTU ? 0 : mtu
    }
    const mtu = view.getUint16(offset + ICMP_MTU + 2)
    if (mtu > 0) return Math.max(mtu, SMALLEST_MTU_V4)
    const length = view.getUint16(offset + ICMP_QUOTE + IPV4_TOTAL_LENGTH)
    // RFC 1191 7.1 SHOULD: an error of an old router, without an MTU, lowers it to what links have
    return PLATEAUS.find((plateau) => plateau < length) ?? 0
  }

  /** Reads a quoted IPv4 header. Returns the protocol, or -1 unless it begins a packet. */
  #readV4(offset: number, end: number): number {
    const { view } = this.#arena
    if (end - offset < IPV4_HEADER_LENGTH) return -1
    const first = view.getUint8(offset)
    const length = (first & 0xf) * 4
    if (first >> 4 !== 4 || length < IPV4_HEADER_LENGTH) return -1
    if (view.getUint16(offset + IPV4_FLAGS_AND_OFFSET) & IPV4_FRAGMENT_OFFSET_MASK) return -1
    this.#tap.forwardingAddress.readV4(view, offset + IPV4_SOURCE)
    this.#tap.correspondentAddress.readV4(view, offset + IPV4_TARGET)
    this.#error.quoteOffset = offset + length
    return view.getUint8(offset + IPV4_PROTOCOL)
  }

  /** The same for IPv6. Of extension headers, we only send fragment headers. */
  #readV6(offset: number, end: number): number {
    const { view } = this.#arena
    if (end - offset < IPV6_HEADER_LENGTH || view.getUint8(offset) >> 4 !== 6) return -1
    this.#tap.forwardingAddress.readV6(view, offset + IPV6_SOURCE)
    this.#tap.correspondentAddress.readV6(view, offset + IPV6_TARGET)
    let next = view.getUint8(offset + IPV6_NEXT_HEADER)
    let start = offset + IPV6_HEADER_LENGTH
    if (next === IpProtocol.fragment) {
      if (end - start < IPV6_FRAGMENT_HEADER_LENGTH || view.getUint16(start + 2) >> 3 !== 0) return -1
      next = view.getUint8(start)
      start += IPV6_FRAGMENT_HEADER_LENGTH
    }
    this.#error.quoteOffset = start
    return next
  }
}

function isTooBig({ type, code }: GuestError, isV4: boolean): boolean {
  if (!isV4) return type === Icmpv6Type.packetTooBig
  return type === IcmpType.destinationUnreachable && code === IcmpUnreachable.fragmentationNeeded
}
