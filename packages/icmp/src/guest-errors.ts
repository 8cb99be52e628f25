/**
 * ICMP errors from the guest's side about packets that it was sent (RFC 792; RFC 4443, section 3): a guest may be a router,
 * behind which a link takes less than ours. The flow of the quoted packet is found; its protocol decides what to believe
 * (RFC 5927).
 */
import {
  type Arena,
  type Components,
  Demiflow,
  type GuestError,
  ICMP_CODE,
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
  IPV6_NEXT_HEADER,
  IPV6_SOURCE,
  IPV6_TARGET,
  IpProtocol,
  type Sequence,
} from "@demiflow/core"

/** Bytes that are quoted of the transport header at least (RFC 792). */
const LEAST_QUOTE = 8
/** MTUs that links have, largest first (RFC 1191, section 7.1, without those above Ethernet's). */
const PLATEAUS = [1492, 1006, 508, 296, 68]

/** Reads ICMP errors from the guest's side. */
export class GuestErrors {
  readonly #arena: Arena
  readonly #report: Components["reportGuestError"]
  readonly #tap = new Demiflow(Interface.tap)
  readonly #error: GuestError = { type: 0, code: 0, mtu: 0, quoteOffset: 0, quoteLength: 0 }

  constructor(components: Components) {
    this.#arena = components.arena
    this.#report = components.reportGuestError
  }

  /** Hands on the error that packet `index` of the sequence is; false if it concerns no flow. */
  take(sequence: Sequence, index: number): boolean {
    const offset = sequence.transportOffset[index]
    const end = sequence.endOffset[index]
    const { isV4 } = sequence.demiflow
    const protocol = isV4 ? this.#readV4(offset + ICMP_QUOTE, end) : this.#readV6(offset + ICMP_QUOTE, end)
    const error = this.#error
    error.quoteLength = end - error.quoteOffset
    // An error goes to whom the packet came from.
    if (protocol < 0 || error.quoteLength < LEAST_QUOTE) return false
    if (!this.#tap.forwardingAddress.equals(sequence.demiflow.forwardingAddress)) return false
    const { view } = this.#arena
    this.#tap.forwardingPort = view.getUint16(error.quoteOffset)
    this.#tap.correspondentPort = view.getUint16(error.quoteOffset + 2)
    error.type = view.getUint8(offset + ICMP_TYPE)
    error.code = view.getUint8(offset + ICMP_CODE)
    error.mtu = isTooBig(error, isV4) ? this.#mtu(offset, isV4) : 0
    return this.#report(protocol, this.#tap, error)
  }

  /** The next hop's MTU as the error names it; for one of an old router that names none, the next smaller plateau. */
  #mtu(offset: number, isV4: boolean): number {
    const { view } = this.#arena
    if (!isV4) return view.getUint32(offset + ICMP_MTU)
    const mtu = view.getUint16(offset + ICMP_MTU + 2)
    if (mtu > 0) return mtu
    const length = view.getUint16(offset + ICMP_QUOTE + IPV4_TOTAL_LENGTH)
    return PLATEAUS.find((plateau) => plateau < length) ?? 0
  }

  /** Reads a quoted IPv4 header; the protocol, or -1 for none that begins a packet. */
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

  /** The same for IPv6. Of extension headers, we send fragments' alone. */
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
