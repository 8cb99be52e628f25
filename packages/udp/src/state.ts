import {
  type FlowIndex,
  flowOf,
  NO_MARKS,
  NO_SOCKET,
  oppositeSide,
  type SideRef,
  type Socket,
  targetSide,
} from "@demiflow/core"
import type { ListeningPort } from "./listening-ports.ts"
import type { SplicedSide } from "./local/spliced-flow.ts"
import type { MayBeUnanswered } from "./unanswered-flows.ts"
import type { WaitingSource } from "./waiting-sources.ts"

/** What UDP keeps of a flow between host and tap, besides its two sides in the flow table. */
export class UdpFlow implements WaitingSource, MayBeUnanswered {
  /** The side towards the guest. */
  tapSide: SideRef
  /** Connected to the correspondent of the host side; {@link NO_SOCKET} once the flow has ended. */
  socket: Socket = NO_SOCKET
  /** IP version on the host side. */
  isHostV4 = true
  /** Clock milliseconds of the last datagram in either direction. */
  lastActivity = 0
  /** Whether anything has come back to where the flow began. */
  hasReply = false
  /**
   * Set while the socket may hold datagrams of anybody, which came in before it was connected: the listener that has the
   * same port, and that they were meant for.
   */
  sharedWith: ListeningPort | undefined = undefined
  /** Marks that the socket sends with. */
  marks: number = NO_MARKS
  /** Payload bytes of the last datagram from the guest, for the length that an error's quotation states. */
  lastLength = 0
  /** Entries that the next receiving call asks for. */
  burst = 0
  isWaiting = false
  isUnanswered = false
  older: MayBeUnanswered | undefined = undefined
  newer: MayBeUnanswered | undefined = undefined

  constructor(tapSide: SideRef) {
    this.tapSide = tapSide
  }

  get flow(): FlowIndex {
    return flowOf(this.tapSide)
  }

  get hostSide(): SideRef {
    return oppositeSide(this.tapSide)
  }

  get needsGuest(): boolean {
    return true
  }

  /** Whether the first datagram came from the host. */
  get beganOnHost(): boolean {
    return this.tapSide === targetSide(this.flow)
  }
}

/** What has a socket from which datagrams are received. */
export type Source = UdpFlow | ListeningPort | SplicedSide

/** The UDP flows by index, and objects of ended ones for the next to come: no flow allocates in the long run. */
export class UdpFlows {
  /** Dense: grown one by one, so that it never becomes a dictionary. */
  readonly #byFlow: (UdpFlow | undefined)[] = []
  readonly #pool: UdpFlow[] = []

  /** The state of an active flow of this protocol. */
  get(flow: FlowIndex): UdpFlow | undefined {
    return flow < this.#byFlow.length ? this.#byFlow[flow] : undefined
  }

  /** Starts the state of a flow. */
  add(tapSide: SideRef, socket: Socket, isHostV4: boolean, now: number): UdpFlow {
    const state = this.#pool.pop() ?? new UdpFlow(tapSide)
    state.tapSide = tapSide
    state.socket = socket
    state.isHostV4 = isHostV4
    state.lastActivity = now
    state.hasReply = false
    state.sharedWith = undefined
    state.marks = NO_MARKS
    state.lastLength = 0
    state.burst = 0
    const flow = state.flow
    while (this.#byFlow.length <= flow) this.#byFlow.push(undefined)
    this.#byFlow[flow] = state
    return state
  }

  /** Ends it. The object may still stand in a list of waiting ones: it has no socket then. */
  remove(state: UdpFlow): void {
    state.socket = NO_SOCKET
    this.#byFlow[state.flow] = undefined
    this.#pool.push(state)
  }
}
