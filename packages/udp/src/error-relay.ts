import {
  addSums,
  type Components,
  Demiflow,
  type Drops,
  finishUdpChecksum,
  Interface,
  IpProtocol,
  type SocketError,
  sumPseudoHeader,
  UDP_CHECKSUM,
  UDP_HEADER_LENGTH,
  UDP_LENGTH,
  UDP_SOURCE_PORT,
  UDP_TARGET_PORT,
} from "@demiflow/core"
import { HostErrorRelay, type SharedPort } from "@demiflow/protocol-kit"
import type { FlowFinder } from "./flow-finder.ts"
import type { UdpReasons } from "./reasons.ts"
import { UdpFlow } from "./state.ts"

/** Reports errors about the guest's datagrams to the guest as ICMP errors. */
export class ErrorRelay extends HostErrorRelay<UdpFlow> {
  readonly #drops: Drops
  readonly #reasons: UdpReasons
  readonly #finder: FlowFinder
  readonly #ends = new Demiflow(Interface.host)
  #port: SharedPort | undefined
  readonly #flowOf = (entry: SocketError): UdpFlow | undefined => this.#find(entry)

  constructor(components: Components, reasons: UdpReasons, finder: FlowFinder) {
    super(components, reasons.unknownError, UDP_HEADER_LENGTH)
    this.#drops = components.drops
    this.#reasons = reasons
    this.#finder = finder
  }

  /**
   * Relays the errors in the error queue of a port's socket, each to the flow of the datagram that it is about. Returns
   * the number of errors that were reported by other nodes than the host.
   */
  drainPort(port: SharedPort): number {
    if (port.socket < 0) return 0
    this.#port = port
    this.drainShared(port.socket, this.#flowOf, port.sockets)
    return this.reportedElsewhere
  }

  #find(entry: SocketError): UdpFlow | undefined {
    if (this.#port === undefined) return undefined
    const ends = this.#ends
    ends.correspondentAddress.copyFrom(entry.destination)
    ends.correspondentPort = entry.destinationPort
    ends.forwardingAddress.copyFrom(entry.source)
    const flow = this.#finder.sentTo(this.#port, ends)
    if (flow instanceof UdpFlow) return flow
    // A socket can't report to its correspondent that nobody listens at the other end of the local path.
    this.#drops.count(flow === undefined ? this.#reasons.unknownError : this.#reasons.notDelivered)
    return undefined
  }

  protected override protocolOn(): number {
    return IpProtocol.udp
  }

  /** Writes the guest's UDP header and the known part of its payload. */
  protected override writeQuote(
    tap: Demiflow,
    _flow: UdpFlow | undefined,
    payloadOffset: number,
    known: number,
    original: number,
  ): number {
    const { arena, quoteOffset: quote } = this
    const length = UDP_HEADER_LENGTH + original
    arena.view.setUint16(quote + UDP_SOURCE_PORT, tap.correspondentPort)
    arena.view.setUint16(quote + UDP_TARGET_PORT, tap.forwardingPort)
    arena.view.setUint16(quote + UDP_LENGTH, length)
    arena.view.setUint16(quote + UDP_CHECKSUM, 0)
    arena.copy(payloadOffset, quote + UDP_HEADER_LENGTH, known)
    if (known === original) {
      const sum = addSums(sumPseudoHeader(tap, IpProtocol.udp, length), arena.sum(quote, length, 0))
      arena.view.setUint16(quote + UDP_CHECKSUM, finishUdpChecksum(sum))
    }
    return UDP_HEADER_LENGTH + known
  }
}
