import {
  type FlowIndex,
  flowOf,
  type Host,
  initiatingSide,
  type MayGiveWay,
  NO_SIDE,
  NO_SOCKET,
  type Rider,
  type SharedPort,
  type SideRef,
  type Socket,
  type SocketHolder,
  type UseList,
} from "@demiflow/core"
import type { Lasting } from "../timeouts.ts"
import type { WaitingSource } from "../waiting-sources.ts"

/**
 * One side of a spliced flow: what is received on it leaves on the opposite side. The initiating side shares the socket of a
 * port, the target side has one of its own.
 */
export class SplicedSide implements WaitingSource, SocketHolder {
  readonly flow: SplicedFlow
  /** Whose the socket is: the host's, or the namespace's. */
  host: Host
  /** Connected to the correspondent of this side; {@link NO_SOCKET} without one of its own, and once the flow has ended. */
  socket: Socket = NO_SOCKET
  /** Whose socket the side shares. */
  port: SharedPort | undefined = undefined
  /** Interface of the host on which the correspondent's link-local address is. */
  scope = 0
  /** Entries that the next receiving call asks for. */
  burst = 0
  isWaiting = false
  list: UseList<SocketHolder> | undefined = undefined
  older: SocketHolder | undefined = undefined
  newer: SocketHolder | undefined = undefined
  listedAt = 0

  constructor(flow: SplicedFlow, host: Host) {
    this.flow = flow
    this.host = host
  }

  get lastActivity(): number {
    return this.flow.lastActivity
  }

  get opposite(): SplicedSide {
    return this === this.flow.initiating ? this.flow.target : this.flow.initiating
  }

  /** What the guest's link has to do with it is nothing. */
  get needsGuest(): boolean {
    return false
  }

  /** A flow begins that shares a port's socket on this side. */
  share(port: SharedPort, scope: number): void {
    this.host = port.host
    this.socket = NO_SOCKET
    this.port = port
    this.scope = scope
  }

  /** A flow begins that has this socket on this side. */
  own(host: Host, socket: Socket): void {
    this.host = host
    this.socket = socket
    this.port = undefined
    this.burst = 0
  }

  /** The flow has ended: the side may still stand in a list of waiting ones. */
  close(): void {
    this.list?.remove(this)
    if (this.socket >= 0) this.host.close(this.socket)
    this.socket = NO_SOCKET
    this.port = undefined
  }
}

/** What UDP keeps of a flow from socket to socket, besides its two sides in the flow table. */
export class SplicedFlow implements MayGiveWay, Rider, Lasting {
  /** The initiating side, by which both are known. */
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

  constructor(initiatingHost: Host, targetHost: Host) {
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

/** The spliced flows by index, and objects of ended ones for the next to come: no flow allocates in the long run. */
export class SplicedFlows {
  /** Dense: grown one by one, so that it never becomes a dictionary. */
  readonly #byFlow: (SplicedFlow | undefined)[] = []
  readonly #pool: SplicedFlow[] = []

  /** The state of an active flow, if it is a spliced one of this protocol. */
  get(flow: FlowIndex): SplicedFlow | undefined {
    return flow < this.#byFlow.length ? this.#byFlow[flow] : undefined
  }

  /** One side of such a flow. */
  sideOf(ref: SideRef): SplicedSide | undefined {
    const flow = this.get(flowOf(ref))
    return ref === flow?.ref ? flow.initiating : flow?.target
  }

  /** Starts the state of a flow between sockets of two hosts; those are the caller's to fill in. */
  add(index: FlowIndex, initiatingHost: Host, targetHost: Host, now: number): SplicedFlow {
    const flow = this.#pool.pop() ?? new SplicedFlow(initiatingHost, targetHost)
    flow.ref = initiatingSide(index)
    flow.lastActivity = now
    flow.hasReply = false
    flow.isConversation = false
    while (this.#byFlow.length <= index) this.#byFlow.push(undefined)
    this.#byFlow[index] = flow
    return flow
  }

  /** Ends it, and closes its socket. */
  remove(flow: SplicedFlow): void {
    flow.initiating.close()
    flow.target.close()
    this.#byFlow[flow.flow] = undefined
    this.#pool.push(flow)
  }
}
