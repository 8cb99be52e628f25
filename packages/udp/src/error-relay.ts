import {
  addSums,
  type Components,
  type Demiflow,
  finishUdpChecksum,
  HostErrorRelay,
  IpProtocol,
  sumPseudoHeader,
  UDP_CHECKSUM,
  UDP_HEADER_LENGTH,
  UDP_LENGTH,
  UDP_SOURCE_PORT,
  UDP_TARGET_PORT,
} from "@demiflow/core"
import type { UdpReasons } from "./reasons.ts"
import type { UdpFlow } from "./state.ts"

/** Tells the guest as ICMP errors what happened to its datagrams beyond us. */
export class ErrorRelay extends HostErrorRelay<UdpFlow> {
  constructor(components: Components, reasons: UdpReasons) {
    super(components, reasons.unknownError, UDP_HEADER_LENGTH)
  }

  protected override protocolOn(): number {
    return IpProtocol.udp
  }

  /** The guest's header before what is known of its payload. */
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
