/**
 * Refusing what can't be carried: packets of an IP protocol that no handler claims (GRE, ESP, SCTP, UDP-Lite …) are answered
 * with "protocol unreachable" (RFC 1122, section 3.2.2.1), over IPv6 with "unrecognized next header" (RFC 4443,
 * section 3.4; RFC 8200, section 4), as the addressed host would answer. A VPN or an SCTP client in the guest then knows at
 * once.
 */
import {
  type Claim,
  type Components,
  type Disposition,
  type DropReason,
  EtherType,
  FORWARD,
  HANDLED,
  IcmpType,
  IcmpUnreachable,
  Icmpv6ParameterProblem,
  Icmpv6Type,
  IPV6_HEADER_LENGTH,
  IPV6_NEXT_HEADER,
  IpProtocol,
  NOT_MINE,
  PacketRefusal,
  type ProtocolHandler,
  type Sequence,
} from "@demiflow/core"

/** A handler for what is left over. */
export class RefusalHandler implements ProtocolHandler {
  readonly name = "refusal"
  readonly claims: readonly Claim[] = [{ otherIpProtocols: true }]
  readonly #components: Components
  readonly #refusal: PacketRefusal
  readonly #notCarried: DropReason

  constructor(components: Components) {
    this.#components = components
    this.#refusal = new PacketRefusal(components)
    this.#notCarried = components.drops.reason("ip: protocol that isn't carried")
  }

  fromTap(sequence: Sequence): Disposition {
    // Without a handler, the user has turned them off, and wants silence.
    if (isUsual(sequence.protocol)) return NOT_MINE
    for (let index = 0; index < sequence.count; index++) {
      const verdict = this.#refuse(sequence, index)
      this.#components.drops.count(verdict === FORWARD ? this.#notCarried : verdict)
    }
    return HANDLED
  }

  #refuse(sequence: Sequence, index: number): DropReason | typeof FORWARD {
    const { demiflow, targetMac, protocol, networkOffset, transportOffset, endOffset } = sequence
    const isV4 = sequence.etherType === EtherType.ipv4
    const network = networkOffset[index]
    return this.#refusal.refuse(
      demiflow,
      targetMac,
      protocol,
      isV4 ? IcmpType.destinationUnreachable : Icmpv6Type.parameterProblem,
      isV4 ? IcmpUnreachable.protocol : Icmpv6ParameterProblem.nextHeader,
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

/** Arena offset of the field with the transport header's type: in the IPv6 header, or in the last extension header. */
function lastNextHeader(view: DataView, network: number, transport: number): number {
  let field = network + IPV6_NEXT_HEADER
  for (let offset = network + IPV6_HEADER_LENGTH; offset < transport; ) {
    const isFragment = view.getUint8(field) === IpProtocol.fragment
    field = offset
    offset += isFragment ? 8 : 8 + view.getUint8(offset + 1) * 8
  }
  return field
}
