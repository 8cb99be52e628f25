import {
  type FlowIndex,
  flowOf,
  type MayGiveWay,
  NO_MARKS,
  NO_SOCKET,
  oppositeSide,
  type SideRef,
  type Socket,
  type Waiting,
} from "@demiflow/core"

/** What ICMP keeps of an echo flow, besides its two sides in the flow table. */
export class EchoFlow implements Waiting, MayGiveWay {
  /** The side towards the guest. */
  tapSide: SideRef
  /** A ping socket; {@link NO_SOCKET} once the flow has ended. */
  socket: Socket = NO_SOCKET
  /** IP version on the host side. */
  isHostV4 = true
  /** Clock milliseconds of the last message in either direction. */
  lastActivity = 0
  /** Marks that the socket sends with. */
  marks: number = NO_MARKS
  /** Bytes and sequence number of the last request, for what an error's quotation left out. */
  lastLength = 0
  lastSequence = 0
  isWaiting = false
  readonly holdsSocket: boolean = true
  isDispensable = false
  older: MayGiveWay | undefined = undefined
  newer: MayGiveWay | undefined = undefined

  constructor(tapSide: SideRef) {
    this.tapSide = tapSide
  }

  get flow(): FlowIndex {
    return flowOf(this.tapSide)
  }

  get hostSide(): SideRef {
    return oppositeSide(this.tapSide)
  }
}

/** The echo flows by index, and objects of ended ones for the next to come: no flow allocates in the long run. */
export class EchoFlows {
  /** Dense: grown one by one, so that it never becomes a dictionary. */
  readonly #byFlow: (EchoFlow | undefined)[] = []
  readonly #pool: EchoFlow[] = []

  /** The state of an active flow of this protocol. */
  get(flow: FlowIndex): EchoFlow | undefined {
    return flow < this.#byFlow.length ? this.#byFlow[flow] : undefined
  }

  /** Starts the state of a flow. */
  add(tapSide: SideRef, socket: Socket, isHostV4: boolean): EchoFlow {
    const state = this.#pool.pop() ?? new EchoFlow(tapSide)
    state.tapSide = tapSide
    state.socket = socket
    state.isHostV4 = isHostV4
    state.marks = NO_MARKS
    const flow = state.flow
    while (this.#byFlow.length <= flow) this.#byFlow.push(undefined)
    this.#byFlow[flow] = state
    return state
  }

  /** Ends it. The object may still stand in a list of waiting ones: it has no socket then. */
  remove(state: EchoFlow): void {
    state.socket = NO_SOCKET
    this.#byFlow[state.flow] = undefined
    this.#pool.push(state)
  }
}
