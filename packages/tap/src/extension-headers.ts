/**
 * IPv6 extension headers (RFC 8200, section 4): walked to the transport header, with everything they say held against
 * the end of the packet.
 *
 * We are the packet's destination as far as these headers go. Options are skipped where their type allows it (section
 * 4.2) and nothing of them is obeyed; a routing header must have no segments left (section 4.4, RFC 5095). The RFCs want
 * some drops reported by an ICMPv6 Parameter Problem: the walk notes its code and pointer.
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
import { type InboundReasons, PASSED, type Verdict } from "./inbound-reasons.ts"

/** More than any sender has a use for; it bounds the work that one packet causes. */
const HEADER_LIMIT = 16

const OPTION_PAD1 = 0
const ROUTING_TYPE = 2
const SEGMENTS_LEFT = 3
/** The two highest bits of an option's type, for a node that doesn't know it: skip the option, or discard in silence. */
const OPTION_SKIP = 0
const OPTION_SILENCE = 1
const LAST_ERROR_TYPE = 127
/** Fragment offset and "more fragments" of the fragment header's second 16 bits, reserved bits left out. */
const FRAGMENT_MASK = 0xfff9

/** Where the last walk ended. One instance serves all packets. */
export class ExtensionHeaders {
  /** Protocol of the transport header, or, at a fragment, of what the fragment header announces. */
  protocol = 0
  /** Arena offset of the transport header, or behind the fragment header. */
  transportOffset = 0
  /** Arena offset of the fragment header if the packet is a fragment; -1 if it is whole. */
  fragmentOffset = -1
  /** Code of the ICMPv6 Parameter Problem that the sender of a dropped packet is owed; -1 if none. */
  problemCode = -1
  /** Arena offset of what that points to. */
  problemOffset = 0
  readonly #view: DataView
  readonly #reasons: InboundReasons

  constructor(view: DataView, reasons: InboundReasons) {
    this.#view = view
    this.#reasons = reasons
  }

  /**
   * Walks from the header of type `nextHeader` at `position` and sets the fields. Answers {@link PASSED} at a transport
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
    /** Where that type stands. */
    let field = position - IPV6_HEADER_LENGTH + IPV6_NEXT_HEADER
    for (let count = 0; count <= HEADER_LIMIT; count++) {
      switch (type) {
        case IpProtocol.hopByHop:
          // Only directly behind the IPv6 header (RFC 8200, section 4.1).
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
          // The only fragment of its packet: nothing to put together (RFC 6946).
          type = view.getUint8(offset)
          field = offset
          offset += IPV6_FRAGMENT_HEADER_LENGTH
          continue
        }
        case IpProtocol.noNextHeader:
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
      if (action === OPTION_SILENCE) return this.#reasons.v6Option
      if (action !== OPTION_SKIP) {
        const { option } = Icmpv6ParameterProblem
        return this.#problem(this.#reasons.v6Option, option, offset, headerType, header, packetEnd)
      }
      if (end - offset < 2) return this.#reasons.v6HeaderCut
      offset += 2 + view.getUint8(offset + 1)
    }
    return offset === end ? PASSED : this.#reasons.v6HeaderCut
  }

  /**
   * Notes what the sender is owed, unless that packet is an ICMPv6 error or redirect (RFC 4443, section 2.4 (e)). Answers
   * the reason.
   *
   * @param type of the header at `offset`, from which on the packet has not been read
   */
  #problem(reason: Verdict, code: number, pointer: number, type: number, offset: number, end: number): Verdict {
    if (this.#leadsToError(type, offset, end)) return reason
    this.problemCode = code
    this.problemOffset = pointer
    return reason
  }

  /** True as well if that can't be seen. */
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
          // What is behind a fragment header other than the first one's is the middle of something.
          if (isFragment && view.getUint16(offset + 2) >>> 3 !== 0) return true
          type = view.getUint8(offset)
          offset += isFragment ? IPV6_FRAGMENT_HEADER_LENGTH : 8 + view.getUint8(offset + 1) * 8
          break
        }
        case IpProtocol.icmpv6: {
          const messageType = view.getUint8(offset + ICMP_TYPE)
          return messageType <= LAST_ERROR_TYPE || messageType === Icmpv6Type.redirect
        }
        default:
          return false
      }
    }
    return true
  }
}
