import {
  type FlowIndex,
  flowOf,
  type Host,
  initiatingSide,
  NO_SIDE,
  NO_SOCKET,
  type SideRef,
  type Socket,
} from "@demiflow/core"
import type { ListeningPort } from "../listening-ports.ts"
import type { MayBeUnanswered } from "../unanswered-flows.ts"
import type { WaitingSource } from "../waiting-sources.ts"

/** One side of a spliced flow: what is received by its socket leaves by that of the opposite side. */
export class SplicedSide implements WaitingSource {
  readonly flow: SplicedFlow
  /** Whose the socket is: the host's, or the namespace's. */
  host: Host
  /** Connected to the correspondent of this side; {@link NO_SOCKET} once the flow has ended. */
  socket: Socket = NO_SOCKET
  /**
   * Set, on the initiating side, while the socket may hold datagrams of anybody, which came in before it was connected: the
   * listener that has the same port, and that they were meant for.
   */
  sharedWith: ListeningPort | undefined = undefined
  /** Entries that the next receiving call asks for. */
  burst = 0
  isWaiting = false

  constructor(flow: SplicedFlow, host: Host) {
    this.flow = flow
    this.host = host
  }

  get opposite(): SplicedSide {
    return this === this.flow.initiating ? this.flow.target : this.flow.initiating
  }

  /** What the guest's link has to do with it is nothing. */
  get needsGuest(): boolean {
    return false
  }

  /** A flow begins with this socket. */
  begin(host: Host, socket: Socket, sharedWith: ListeningPort | undefined): void {
    this.host = host
    this.socket = socket
    this.sharedWith = sharedWith
    this.burst = 0
  }

  /** The flow has ended: the side may still stand in a list of waiting ones. */
  close(): void {
    this.host.close(this.socket)
    this.socket = NO_SOCKET
  }
}

/** What UDP keeps of a flow from socket to socket, besides its two sides in the flow table. */
export class SplicedFlow implements MayBeUnanswered {
  /** The initiating side, by which both are known. */
  ref: SideRef = NO_SIDE
  readonly initiating: SplicedSide
  readonly target: SplicedSide
  /** Clock milliseconds of the last datagram in either direction. */
  lastActivity = 0
  /** Whether anything has come back to where the flow began. */
  hasReply = false
  isUnanswered = false
  older: MayBeUnanswered | undefined = undefined
  newer: MayBeUnanswered | undefined = undefined

  constructor(initiatingHost: Host, targetHost: Host) {
    this.initiating = new SplicedSide(this, initiatingHost)
    this.target = new SplicedSide(this, targetHost)
  }

  get flow(): FlowIndex {
    return flowOf(this.ref)
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
    while (this.#byFlow.length <= index) this.#byFlow.push(undefined)
    this.#byFlow[index] = flow
    return flow
  }

  /** Ends it, and closes both sockets. */
  remove(flow: SplicedFlow): void {
    flow.initiating.close()
    flow.target.close()
    this.#byFlow[flow.flow] = undefined
    this.#pool.push(flow)
  }
}
