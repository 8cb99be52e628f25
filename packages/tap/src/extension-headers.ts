/**
 * IPv6 extension headers (RFC 8200, section 4): walked to the transport header, with everything they say held against
 * the end of the packet.
 *
 * We are the packet's destination as far as these headers go. Options are skipped where their type allows it (section
 * 4.2) and nothing of them is obeyed; a routing header must have no segments left (section 4.4, RFC 5095). Where the
 * RFC wants an ICMPv6 Parameter Problem for what is dropped, none is sent.
 */
import { IPV6_FRAGMENT_HEADER_LENGTH, IpProtocol } from "@demiflow/core"
import { type InboundReasons, PASSED, type Verdict } from "./inbound-reasons.ts"

/** More than any sender has a use for; it bounds the work that one packet causes. */
const HEADER_LIMIT = 16

const OPTION_PAD1 = 0
const SEGMENTS_LEFT = 3
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
   * @param end of the packet, arena offset
   */
  walk(nextHeader: number, position: number, end: number): Verdict {
    const view = this.#view
    const reasons = this.#reasons
    this.fragmentOffset = -1
    let type = nextHeader
    let offset = position
    for (let count = 0; count <= HEADER_LIMIT; count++) {
      switch (type) {
        case IpProtocol.hopByHop:
          // Only directly behind the IPv6 header (RFC 8200, section 4.1).
          if (offset !== position) return reasons.v6HeaderOrder
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
        if (view.getUint8(offset + SEGMENTS_LEFT) !== 0) return reasons.v6Routing
      } else {
        const verdict = this.#walkOptions(offset + 2, next)
        if (verdict !== PASSED) return verdict
      }
      type = view.getUint8(offset)
      offset = next
    }
    return reasons.v6HeaderCount
  }

  #walkOptions(start: number, end: number): Verdict {
    const view = this.#view
    let offset = start
    while (offset < end) {
      const type = view.getUint8(offset)
      if (type === OPTION_PAD1) {
        offset++
        continue
      }
      // The two highest bits say what becomes of a packet with an option one doesn't know; 00 is to skip it.
      if (type >>> 6 !== 0) return this.#reasons.v6Option
      if (end - offset < 2) return this.#reasons.v6HeaderCut
      offset += 2 + view.getUint8(offset + 1)
    }
    return offset === end ? PASSED : this.#reasons.v6HeaderCut
  }
}
