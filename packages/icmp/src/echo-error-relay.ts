import {
  addSums,
  type Components,
  Demiflow,
  type Drops,
  finishChecksum,
  ICMP_CHECKSUM,
  ICMP_HEADER_LENGTH,
  ICMP_IDENTIFIER,
  ICMP_SEQUENCE,
  ICMP_TYPE,
  IcmpType,
  Icmpv6Type,
  Interface,
  IpProtocol,
  type SocketError,
  sumPseudoHeader,
} from "@demiflow/core"
import { type GuestPort, HostErrorRelay } from "@demiflow/protocol-kit"
import type { Identifiers } from "./identifiers.ts"
import type { IcmpReasons } from "./reasons.ts"
import type { EchoFlow } from "./state.ts"

/**
 * Reports errors about the guest's echo requests to the guest as ICMP errors. The host may have sent the requests under
 * another identifier. Ping sockets quote whole ICMP messages: no header is missing before the payload.
 */
export class EchoErrorRelay extends HostErrorRelay<EchoFlow> {
  readonly #drops: Drops
  readonly #reasons: IcmpReasons
  readonly #identifiers: Identifiers
  readonly #ends = new Demiflow(Interface.host)
  #port: GuestPort | undefined
  readonly #flowOf = (entry: SocketError): EchoFlow | undefined => this.#find(entry)

  constructor(components: Components, reasons: IcmpReasons, identifiers: Identifiers) {
    super(components, reasons.unknownError, 0)
    this.#drops = components.drops
    this.#reasons = reasons
    this.#identifiers = identifiers
  }

  /**
   * Relays the errors in the error queue of an identifier's socket, each to the flow of the request that it is about.
   * The kernel compares the identifier alone: errors about a correspondent that the guest hasn't asked are counted as
   * unknown. Returns the number of errors that were reported by other nodes than the host.
   */
  drainPort(port: GuestPort): number {
    if (port.socket < 0) return 0
    this.#port = port
    this.drainShared(port.socket, this.#flowOf)
    return this.reportedElsewhere
  }

  #find(entry: SocketError): EchoFlow | undefined {
    if (this.#port === undefined) return undefined
    this.#ends.correspondentAddress.copyFrom(entry.destination)
    const flow = this.#identifiers.flowWith(this.#port, this.#ends)
    // RFC 5508 REQ-4 MUST: an error about a packet of no flow is dropped, and ends none
    if (flow === undefined) this.#drops.count(this.#reasons.unknownError)
    return flow
  }

  protected override protocolOn(tap: Demiflow): number {
    return tap.isV4 ? IpProtocol.icmp : IpProtocol.icmpv6
  }

  /** Writes the known part of the guest's request. */
  protected override writeQuote(
    tap: Demiflow,
    flow: EchoFlow | undefined,
    payloadOffset: number,
    known: number,
    original: number,
  ): number {
    const { arena, quoteOffset: quote } = this
    const { view } = arena
    arena.copy(payloadOffset, quote, known)
    if (flow === undefined) return known
    if (known < ICMP_HEADER_LENGTH) {
      view.setUint16(quote + ICMP_TYPE, (tap.isV4 ? IcmpType.echoRequest : Icmpv6Type.echoRequest) << 8)
      view.setUint16(quote + ICMP_SEQUENCE, flow.lastSequence)
    }
    view.setUint16(quote + ICMP_IDENTIFIER, tap.correspondentPort)
    view.setUint16(quote + ICMP_CHECKSUM, 0)
    if (known < original) return Math.max(known, ICMP_HEADER_LENGTH)
    const pseudoHeader = tap.isV4 ? 0 : sumPseudoHeader(tap, IpProtocol.icmpv6, known)
    view.setUint16(quote + ICMP_CHECKSUM, finishChecksum(addSums(arena.sum(quote, known, 0), pseudoHeader)))
    return known
  }
}
