/**
 * IPv6 extension headers (RFC 8200, section 4): the walk to the transport header checks every length against the end of
 * the packet.
 *
 * For these headers, we are the packet's destination. Options are skipped if their type allows it (section 4.2), and
 * none is obeyed. A routing header must have no segments left (section 4.4, RFC 5095). The RFCs require some drops to
 * be reported with an ICMPv6 Parameter Problem: the walk records its code and pointer.
 */
import {
  ICMP_TYPE,
  Icmpv6ParameterProblem,
  Icmpv6Type,
  IPV6_FRAGMENT_HEADER_LENGTH,
  IPV6_HEADER_LENGTH,
  IPV6_NEXT_HEADER,
  IpProtocol,
} from "@demiflow/core"
import { type FromGuestReasons, PASSED, type Verdict } from "./reasons.ts"

/** More headers than any sender needs; bounds the work for one packet. */
const HEADER_LIMIT = 16

const OPTION_PAD1 = 0
const ROUTING_TYPE = 2
const SEGMENTS_LEFT = 3
/**
 * The two highest bits of an option's type, for a node that doesn't know the option: skip it, or discard the packet
 * silently.
 */
const OPTION_SKIP = 0
const OPTION_SILENCE = 1
const LAST_ERROR_TYPE = 127
/** Fragment offset and "more fragments" in the fragment header's second 16 bits, without the reserved bits. */
const FRAGMENT_MASK = 0xfff9

/** The result of the last walk. One instance serves all packets. */
export class ExtensionHeaders {
  /** Protocol of the transport header or, at a fragment, the protocol named in the fragment header. */
  protocol = 0
  /** Arena offset of the transport header, or behind the fragment header. */
  transportOffset = 0
  /** Arena offset of the fragment header if the packet is a fragment; -1 if it is whole. */
  fragmentOffset = -1
  /** Code of the ICMPv6 Parameter Problem due to the sender of a dropped packet; -1 if none. */
  problemCode = -1
  /** Arena offset of the field that the problem's pointer refers to. */
  problemOffset = 0
  readonly #view: DataView
  readonly #reasons: FromGuestReasons

  constructor(view: DataView, reasons: FromGuestReasons) {
    this.#view = view
    this.#reasons = reasons
  }

  /**
   * Walks from the header of type `nextHeader` at `position` and sets the fields. Returns {@link PASSED} at a transport
   * header or a fragment, or the reason to drop the packet.
   *
   * @param position right behind the IPv6 header
   * @param end of the packet, arena offset
   */
  walk(nextHeader: number, position: number, end: number): Verdict {
    const view = this.#view
    const reasons = this.#reasons
    this.fragmentOffset = -1
    this.problemCode = -1
    let type = nextHeader
    let offset = position
    /** Arena offset of the field that contains the type. */
    let field = position - IPV6_HEADER_LENGTH + IPV6_NEXT_HEADER
    for (let count = 0; count <= HEADER_LIMIT; count++) {
      switch (type) {
        case IpProtocol.hopByHop:
          // Allowed only directly behind the IPv6 header (RFC 8200, section 4.1).
          // RFC 8200 4.1 MUST: hop-by-hop options stand right behind the IPv6 header; elsewhere they are reported
          if (offset !== position) {
            return this.#problem(reasons.v6HeaderOrder, Icmpv6ParameterProblem.nextHeader, field, type, offset, end)
          }
          break
        case IpProtocol.routing:
        case IpProtocol.destinationOptions:
          break
        case IpProtocol.fragment: {
          if (end - offset < IPV6_FRAGMENT_HEADER_LENGTH) return reasons.v6HeaderCut
          if ((view.getUint16(offset + 2) & FRAGMENT_MASK) !== 0) {
            this.fragmentOffset = offset
            this.protocol = view.getUint8(offset)
            this.transportOffset = offset + IPV6_FRAGMENT_HEADER_LENGTH
            return PASSED
          }
          // The only fragment of its packet: nothing to reassemble (RFC 6946).
          // RFC 6946 4 MUST: a fragment that is a whole packet is handled at once, whatever other fragments there are
          type = view.getUint8(offset)
          field = offset
          offset += IPV6_FRAGMENT_HEADER_LENGTH
          continue
        }
        case IpProtocol.noNextHeader:
          // RFC 8200 4.7 MUST: what follows "no next header" is not read
          return reasons.v6NothingInside
        default:
          this.protocol = type
          this.transportOffset = offset
          return PASSED
      }
      if (end - offset < 8) return reasons.v6HeaderCut
      const next = offset + 8 + view.getUint8(offset + 1) * 8
      if (next > end) return reasons.v6HeaderCut
      if (type === IpProtocol.routing) {
        // RFC 8200 4.4 MUST: a routing header of a type that is not known, with segments left, has its packet discarded
        //   and reported at the type
        // RFC 5095 3 MUST: a routing header of type 0 is treated as one of a type that is not known
        if (view.getUint8(offset + SEGMENTS_LEFT) !== 0) {
          const { headerField } = Icmpv6ParameterProblem
          return this.#problem(reasons.v6Routing, headerField, offset + ROUTING_TYPE, type, offset, end)
        }
      } else {
        const verdict = this.#walkOptions(type, offset, next, end)
        if (verdict !== PASSED) return verdict
      }
      type = view.getUint8(offset)
      field = offset
      offset = next
    }
    return this.#problem(reasons.v6HeaderCount, Icmpv6ParameterProblem.tooManyHeaders, offset, type, offset, end)
  }

  /** @param end of the header, which begins at `header` and has this type */
  #walkOptions(headerType: number, header: number, end: number, packetEnd: number): Verdict {
    const view = this.#view
    let offset = header + 2
    while (offset < end) {
      const type = view.getUint8(offset)
      if (type === OPTION_PAD1) {
        offset++
        continue
      }
      const action = type >>> 6
      // RFC 8200 4.2 (silence) MUST: an unknown option of class 01 has its packet discarded in silence
      if (action === OPTION_SILENCE) return this.#reasons.v6Option
      // RFC 8200 4.2 (report) MUST: one of class 10 or 11 has its packet discarded and reported at the option
      if (action !== OPTION_SKIP) {
        const { option } = Icmpv6ParameterProblem
        return this.#problem(this.#reasons.v6Option, option, offset, headerType, header, packetEnd)
      }
      // RFC 8200 4.2 (skip) MUST: one of class 00 is skipped
      if (end - offset < 2) return this.#reasons.v6HeaderCut
      offset += 2 + view.getUint8(offset + 1)
    }
    return offset === end ? PASSED : this.#reasons.v6HeaderCut
  }

  /**
   * Records the problem to report, unless the packet is an ICMPv6 error or redirect (RFC 4443, section 2.4 (e)).
   * Returns the reason.
   *
   * @param type of the header at `offset`, from which on the packet has not been read
   */
  #problem(reason: Verdict, code: number, pointer: number, type: number, offset: number, end: number): Verdict {
    if (this.#leadsToError(type, offset, end)) return reason
    this.problemCode = code
    this.problemOffset = pointer
    return reason
  }

  /** Returns true too if the packet's contents can't be determined. */
  #leadsToError(firstType: number, firstOffset: number, end: number): boolean {
    const view = this.#view
    let type = firstType
    let offset = firstOffset
    for (let count = 0; count <= HEADER_LIMIT; count++) {
      if (offset >= end) return type === IpProtocol.icmpv6
      switch (type) {
        case IpProtocol.hopByHop:
        case IpProtocol.routing:
        case IpProtocol.destinationOptions:
        case IpProtocol.fragment: {
          if (end - offset < 8) return true
          const isFragment = type === IpProtocol.fragment
          // Behind a fragment header, only the first fragment has a header; others continue in the middle of something.
          if (isFragment && view.getUint16(offset + 2) >>> 3 !== 0) return true
          type = view.getUint8(offset)
          offset += isFragment ? IPV6_FRAGMENT_HEADER_LENGTH : 8 + view.getUint8(offset + 1) * 8
          break
        }
        case IpProtocol.icmpv6: {
          const messageType = view.getUint8(offset + ICMP_TYPE)
          // RFC 4443 2.4 (errors) MUST NOT: no error is sent about an error or a redirect
          return messageType <= LAST_ERROR_TYPE || messageType === Icmpv6Type.redirect
        }
        default:
          return false
      }
    }
    return true
  }
}
