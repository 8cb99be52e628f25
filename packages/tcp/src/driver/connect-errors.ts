import {
  type Components,
  type Demiflow,
  type FlowIndex,
  IpProtocol,
  initiatingSide,
  NO_SOCKET,
  type SideRef,
  type Socket,
  targetSide,
} from "@demiflow/core"
import { HostErrorRelay } from "@demiflow/protocol-kit"
import { TcpFlag } from "../connection/segment.ts"
import type { TcpConnection } from "./tcp-connection.ts"
import {
  TCP_DATA_OFFSET,
  TCP_FLAGS,
  TCP_HEADER_LENGTH,
  TCP_SEQUENCE,
  TCP_SOURCE_PORT,
  TCP_TARGET_PORT,
} from "./wire.ts"

/** A connection that is being opened, in the form that the relay expects of flows. */
class ConnectingFlow {
  flow = 0 as FlowIndex
  socket: Socket = NO_SOCKET
  initialFromGuest = 0
  readonly lastLength: number = TCP_HEADER_LENGTH

  get tapSide(): SideRef {
    return initiatingSide(this.flow)
  }

  get hostSide(): SideRef {
    return targetSide(this.flow)
  }
}

/**
 * Relays routers' errors about the SYN of a guest's connection to the guest, in the routers' names: so `traceroute -T`
 * and `mtr -T` show the route. A router quotes the host's SYN; the error to the guest quotes the guest's own.
 */
export class ConnectErrors extends HostErrorRelay<ConnectingFlow> {
  readonly #flow = new ConnectingFlow()

  constructor(components: Components) {
    super(components, components.drops.reason("tcp: error without ICMP form"), 0)
  }

  /** Relays the errors in the socket's queue. Returns false if none of them has a form in ICMP. */
  relay(connection: TcpConnection): boolean {
    const flow = this.#flow
    flow.flow = connection.flow
    flow.socket = connection.socket
    flow.initialFromGuest = connection.receiver.initialFromGuest
    return this.drain(flow) > 0
  }

  protected override protocolOn(): number {
    return IpProtocol.tcp
  }

  protected override writeQuote(tap: Demiflow, flow: ConnectingFlow | undefined): number {
    writeSyn(this.arena.view, this.arena.bytes, this.quoteOffset, tap, flow?.initialFromGuest ?? 0)
    return TCP_HEADER_LENGTH
  }
}

/**
 * Writes the guest's SYN, without its options, as the quote of an ICMP error: {@link TCP_HEADER_LENGTH} bytes at
 * `offset`.
 */
export function writeSyn(
  view: DataView,
  bytes: Uint8Array,
  offset: number,
  tap: Demiflow,
  initialFromGuest: number,
): void {
  bytes.fill(0, offset, offset + TCP_HEADER_LENGTH)
  view.setUint16(offset + TCP_SOURCE_PORT, tap.correspondentPort)
  view.setUint16(offset + TCP_TARGET_PORT, tap.forwardingPort)
  view.setInt32(offset + TCP_SEQUENCE, initialFromGuest)
  view.setUint8(offset + TCP_DATA_OFFSET, (TCP_HEADER_LENGTH / 4) << 4)
  view.setUint8(offset + TCP_FLAGS, TcpFlag.syn)
}
