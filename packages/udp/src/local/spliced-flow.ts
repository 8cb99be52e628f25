import {
  type FlowIndex,
  flowOf,
  initiatingSide,
  NO_SIDE,
  NO_SOCKET,
  type SideRef,
  type Socket,
  type Sockets,
} from "@demiflow/core"
import {
  FlowStates,
  type MayGiveWay,
  type Rider,
  type SharedPort,
  type SocketHolder,
  type UseList,
  type Waiting,
} from "@demiflow/protocol-kit"
import type { Lasting } from "../timeouts.ts"

/**
 * One side of a spliced flow. Datagrams received on it leave on the opposite side. The initiating side shares the
 * socket of a port; the target side has a socket of its own.
 */
export class SplicedSide implements Waiting, SocketHolder {
  readonly flow: SplicedFlow
  /** The host's sockets or the namespace's. */
  sockets: Sockets
  /**
   * Connected to this side's correspondent; {@link NO_SOCKET} if the side has none of its own, or the flow has ended.
   */
  socket: Socket = NO_SOCKET
  /** The port whose socket the side shares. */
  port: SharedPort | undefined = undefined
  /** The host's interface of the correspondent's link-local address. */
  scope = 0
  /** Entries of the next receive call. */
  burst = 0
  /** Datagrams that came from this side, and bytes of their payload. */
  packets = 0
  bytes = 0
  isWaiting = false
  list: UseList<SocketHolder> | undefined = undefined
  older: SocketHolder | undefined = undefined
  newer: SocketHolder | undefined = undefined
  listedAt = 0

  constructor(flow: SplicedFlow, sockets: Sockets) {
    this.flow = flow
    this.sockets = sockets
  }

  get lastActivity(): number {
    return this.flow.lastActivity
  }

  get opposite(): SplicedSide {
    return this === this.flow.initiating ? this.flow.target : this.flow.initiating
  }

  /** False: spliced flows don't use the guest's link. */
  get needsGuest(): boolean {
    return false
  }

  /** Begins a flow that shares a port's socket on this side. */
  share(port: SharedPort, scope: number): void {
    this.sockets = port.sockets
    this.socket = NO_SOCKET
    this.port = port
    this.scope = scope
  }

  /** Begins a flow that has this socket on this side. */
  own(sockets: Sockets, socket: Socket): void {
    this.sockets = sockets
    this.socket = socket
    this.port = undefined
    this.burst = 0
  }

  /** Closes the side of a flow that has ended. The side may still be in a list of waiting ones. */
  close(): void {
    this.list?.remove(this)
    if (this.socket >= 0) this.sockets.close(this.socket)
    this.socket = NO_SOCKET
    this.port = undefined
  }
}

/** UDP's state of a flow from socket to socket, besides its two sides in the flow table. */
export class SplicedFlow implements MayGiveWay, Rider, Lasting {
  /** The initiating side; the target side follows from it. */
  ref: SideRef = NO_SIDE
  readonly initiating: SplicedSide
  readonly target: SplicedSide
  /** Clock milliseconds of the last datagram in either direction. */
  lastActivity = 0
  isToWellKnownPort = false
  hasReply = false
  isConversation = false
  list: UseList<MayGiveWay> | undefined = undefined
  listedAt = 0
  older: MayGiveWay | undefined = undefined
  newer: MayGiveWay | undefined = undefined
  nextRider: Rider | undefined = undefined
  previousRider: Rider | undefined = undefined

  constructor(initiatingHost: Sockets, targetHost: Sockets) {
    this.initiating = new SplicedSide(this, initiatingHost)
    this.target = new SplicedSide(this, targetHost)
  }

  get flow(): FlowIndex {
    return flowOf(this.ref)
  }

  get portSide(): SideRef {
    return this.ref
  }
}

/** The spliced flows. */
export class SplicedFlows extends FlowStates<SplicedFlow> {
  /** Returns one side of a flow, if it is a spliced one. */
  sideOf(ref: SideRef): SplicedSide | undefined {
    const flow = this.of(ref)
    return ref === flow?.ref ? flow.initiating : flow?.target
  }

  /** Adds the state of a new flow between sockets of two hosts; the caller fills in the sockets. */
  begin(index: FlowIndex, initiatingHost: Sockets, targetHost: Sockets, now: number): SplicedFlow {
    const flow = this.spare() ?? new SplicedFlow(initiatingHost, targetHost)
    flow.ref = initiatingSide(index)
    flow.lastActivity = now
    flow.hasReply = false
    flow.isConversation = false
    flow.initiating.packets = flow.initiating.bytes = 0
    flow.target.packets = flow.target.bytes = 0
    this.add(index, flow)
    return flow
  }

  /** Removes a flow that has ended, and closes its socket. */
  finish(flow: SplicedFlow): void {
    flow.initiating.close()
    flow.target.close()
    this.remove(flow.flow)
    this.keep(flow)
  }
}
