import {
  type FlowIndex,
  flowOf,
  type GuestPort,
  type MayGiveWay,
  oppositeSide,
  type Rider,
  type SideRef,
  type UseList,
} from "@demiflow/core"

/** What ICMP keeps of an echo flow, besides its two sides in the flow table. */
export class EchoFlow implements MayGiveWay, Rider {
  /** The side towards the guest. */
  tapSide: SideRef
  /** The identifier on the host; undefined once the flow has ended. */
  port: GuestPort | undefined = undefined
  /** Clock milliseconds of the last message in either direction. */
  lastActivity = 0
  /** Bytes and sequence number of the last request, for what an error's quotation left out. */
  lastLength = 0
  lastSequence = 0
  list: UseList<MayGiveWay> | undefined = undefined
  listedAt = 0
  older: MayGiveWay | undefined = undefined
  newer: MayGiveWay | undefined = undefined
  nextRider: Rider | undefined = undefined
  previousRider: Rider | undefined = undefined

  constructor(tapSide: SideRef) {
    this.tapSide = tapSide
  }

  get flow(): FlowIndex {
    return flowOf(this.tapSide)
  }

  get hostSide(): SideRef {
    return oppositeSide(this.tapSide)
  }

  get portSide(): SideRef {
    return this.hostSide
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
  add(tapSide: SideRef, port: GuestPort): EchoFlow {
    const state = this.#pool.pop() ?? new EchoFlow(tapSide)
    state.tapSide = tapSide
    state.port = port
    const flow = state.flow
    while (this.#byFlow.length <= flow) this.#byFlow.push(undefined)
    this.#byFlow[flow] = state
    return state
  }

  /** Ends it. */
  remove(state: EchoFlow): void {
    this.#byFlow[state.flow] = undefined
    this.#pool.push(state)
  }
}
