import {
  type Components,
  type Demiflow,
  type FlowIndex,
  HostErrorRelay,
  IpProtocol,
  initiatingSide,
  NO_SOCKET,
  type SideRef,
  type Socket,
  targetSide,
} from "@demiflow/core"
import type { TcpConnection } from "./connection.ts"
import {
  TCP_DATA_OFFSET,
  TCP_FLAGS,
  TCP_HEADER_LENGTH,
  TCP_SEQUENCE,
  TCP_SOURCE_PORT,
  TCP_TARGET_PORT,
  TcpFlag,
} from "./wire.ts"

/** A connection that is being begun, as the relay knows flows. */
class ConnectingFlow {
  flow = 0 as FlowIndex
  socket: Socket = NO_SOCKET
  initialFromTap = 0
  readonly lastLength: number = TCP_HEADER_LENGTH

  get tapSide(): SideRef {
    return initiatingSide(this.flow)
  }

  get hostSide(): SideRef {
    return targetSide(this.flow)
  }
}

/**
 * Relays to the guest what routers answered to the SYN of its connection, in their names: so `traceroute -T` and `mtr -T` show
 * the way. What a router quotes is the host's SYN; the guest is shown its own.
 */
export class ConnectErrors extends HostErrorRelay<ConnectingFlow> {
  readonly #flow = new ConnectingFlow()

  constructor(components: Components) {
    super(components, components.drops.reason("tcp: error without ICMP form"), 0)
  }

  /** Relays what the error queue holds; false if it holds nothing that ICMP has words for. */
  relay(connection: TcpConnection): boolean {
    const flow = this.#flow
    flow.flow = connection.flow
    flow.socket = connection.socket
    flow.initialFromTap = connection.initialFromTap
    return this.drain(flow) > 0
  }

  protected override protocolOn(): number {
    return IpProtocol.tcp
  }

  protected override writeQuote(tap: Demiflow, flow: ConnectingFlow | undefined): number {
    writeSyn(this.arena.view, this.arena.bytes, this.quoteOffset, tap, flow?.initialFromTap ?? 0)
    return TCP_HEADER_LENGTH
  }
}

/** Writes the guest's SYN for an ICMP error to quote, without its options: {@link TCP_HEADER_LENGTH} bytes at `offset`. */
export function writeSyn(
  view: DataView,
  bytes: Uint8Array,
  offset: number,
  tap: Demiflow,
  initialFromTap: number,
): void {
  bytes.fill(0, offset, offset + TCP_HEADER_LENGTH)
  view.setUint16(offset + TCP_SOURCE_PORT, tap.correspondentPort)
  view.setUint16(offset + TCP_TARGET_PORT, tap.forwardingPort)
  view.setInt32(offset + TCP_SEQUENCE, initialFromTap)
  view.setUint8(offset + TCP_DATA_OFFSET, (TCP_HEADER_LENGTH / 4) << 4)
  view.setUint8(offset + TCP_FLAGS, TcpFlag.syn)
}
