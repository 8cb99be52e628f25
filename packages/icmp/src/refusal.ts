/**
 * Refuses packets that can't be carried: packets of an IP protocol that no handler claims (GRE, ESP, SCTP, UDP-Lite …)
 * are answered with "protocol unreachable" (RFC 1122, section 3.2.2.1), over IPv6 with "unrecognized next header" (RFC
 * 4443, section 3.4; RFC 8200, section 4), as the addressed host would do. A VPN or an SCTP client in the guest then
 * fails at once.
 */
import {
  type Claim,
  type Components,
  type Disposition,
  type DropReason,
  EtherType,
  HANDLED,
  IcmpType,
  IcmpUnreachable,
  Icmpv6ParameterProblem,
  Icmpv6Type,
  IPV6_HEADER_LENGTH,
  IPV6_NEXT_HEADER,
  IpProtocol,
  NOT_MINE,
  type ProtocolHandler,
  Ruling,
  type Sequence,
  Verdict,
} from "@demiflow/core"
import { PacketRefusal } from "@demiflow/protocol-kit"

/** The handler for IP protocols that no other handler claims. */
export class RefusalHandler implements ProtocolHandler {
  readonly name = "refusal"
  readonly claims: readonly Claim[] = [{ otherIpProtocols: true }]
  readonly #components: Components
  readonly #refusal: PacketRefusal
  readonly #ruling = new Ruling()
  readonly #notCarried: DropReason

  constructor(components: Components) {
    this.#components = components
    this.#refusal = new PacketRefusal(components)
    this.#notCarried = components.drops.reason("ip: protocol that isn't carried")
  }

  fromGuest(sequence: Sequence): Disposition {
    // The user has turned the handler for this protocol off, and wants silence.
    if (isUsual(sequence.protocol)) return NOT_MINE
    const { drops, verdicts } = this.#components
    for (let index = 0; index < sequence.count; index++) {
      const verdict = verdicts.fromGuest(sequence.protocol, sequence.demiflow, this.#ruling, sequence, index)
      // The stack keeps the packets, and hands them over again.
      if (verdict === Verdict.later) break
      if (verdict === Verdict.refuse) this.#refusal.prohibit(sequence, index)
      else if (verdict === Verdict.forward) this.#report(sequence, index)
      drops.count(verdict === Verdict.forward ? this.#notCarried : this.#ruling.reason)
    }
    return HANDLED
  }

  /** Reports a packet that the policy would forward. */
  #report(sequence: Sequence, index: number): void {
    const { demiflow, targetMac, networkOffset, transportOffset, endOffset } = sequence
    const isV4 = sequence.etherType === EtherType.ipv4
    const network = networkOffset[index]
    this.#refusal.report(
      demiflow,
      targetMac,
      // RFC 1122 3.2.2.1 SHOULD: a datagram of a protocol that is not carried is answered by "protocol unreachable"
      isV4 ? IcmpType.destinationUnreachable : Icmpv6Type.parameterProblem,
      isV4 ? IcmpUnreachable.protocol : Icmpv6ParameterProblem.nextHeader,
      // RFC 8200 4 MUST: a next header that is not known is reported at its field
      isV4 ? 0 : lastNextHeader(this.#components.arena.view, network, transportOffset[index]) - network,
      network,
      endOffset[index],
    )
  }
}

function isUsual(protocol: number): boolean {
  return (
    protocol === IpProtocol.tcp ||
    protocol === IpProtocol.udp ||
    protocol === IpProtocol.icmp ||
    protocol === IpProtocol.icmpv6
  )
}

/**
 * Returns the arena offset of the next-header field for the transport: in the IPv6 header or the last extension header.
 */
function lastNextHeader(view: DataView, network: number, transport: number): number {
  let field = network + IPV6_NEXT_HEADER
  for (let offset = network + IPV6_HEADER_LENGTH; offset < transport; ) {
    const isFragment = view.getUint8(field) === IpProtocol.fragment
    field = offset
    offset += isFragment ? 8 : 8 + view.getUint8(offset + 1) * 8
  }
  return field
}
