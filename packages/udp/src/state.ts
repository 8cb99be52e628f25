import {
  type Address,
  type FlowIndex,
  flowOf,
  type MayGiveWay,
  oppositeSide,
  type Rider,
  type SharedPort,
  type SideRef,
  targetSide,
  type UseList,
} from "@demiflow/core"
import type { Correspondence } from "./correspondents.ts"
import type { SplicedSide } from "./local/spliced-flow.ts"
import type { Lasting } from "./timeouts.ts"

/** An address that the guest's datagrams to groups come from. */
export interface GroupSource {
  readonly address: Address
  /** How many flows it is that of, at one port. */
  count: number
}

/** A flow to a group. Those that began at one port are linked in the order of their beginning. */
export interface ToGroup {
  readonly flow: UdpFlow
  /** The port at which it began. */
  readonly port: SharedPort
  /** Where its datagrams come from, once that is known. */
  source: GroupSource | undefined
  /** Sequences of the guest while that isn't known. */
  datagrams: number
  older: ToGroup | undefined
  newer: ToGroup | undefined
}

/** What UDP keeps of a flow between host and tap, besides its two sides in the flow table. */
export class UdpFlow implements MayGiveWay, Rider, Correspondence, Lasting {
  /** The side towards the guest. */
  tapSide: SideRef
  /** Whose socket it shares; undefined once it has ended. */
  port: SharedPort | undefined = undefined
  /** IP version on the host side. */
  isHostV4 = true
  /** On which interface of the host the correspondent is, if its address is a link-local one. */
  scope = 0
  /** Clock milliseconds of the last datagram in either direction. */
  lastActivity = 0
  isToWellKnownPort = false
  hasReply = false
  isConversation = false
  /** Payload bytes of the last datagram from the guest, for the length that an error's quotation states. */
  lastLength = 0
  list: UseList<MayGiveWay> | undefined = undefined
  listedAt = 0
  older: MayGiveWay | undefined = undefined
  newer: MayGiveWay | undefined = undefined
  nextRider: Rider | undefined = undefined
  previousRider: Rider | undefined = undefined
  olderAlike: Correspondence | undefined = undefined
  newerAlike: Correspondence | undefined = undefined
  alikeKey = 0
  /** What is kept of a flow to a group besides. */
  toGroup: ToGroup | undefined = undefined

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

  /** Whether the first datagram came from the host. */
  get beganOnHost(): boolean {
    return this.tapSide === targetSide(this.flow)
  }
}

/** What has a socket from which datagrams are received. */
export type Source = SharedPort | SplicedSide

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
  add(tapSide: SideRef, isHostV4: boolean, now: number): UdpFlow {
    const state = this.#pool.pop() ?? new UdpFlow(tapSide)
    state.tapSide = tapSide
    state.isHostV4 = isHostV4
    state.scope = 0
    state.lastActivity = now
    state.hasReply = false
    state.isConversation = false
    state.lastLength = 0
    const flow = state.flow
    while (this.#byFlow.length <= flow) this.#byFlow.push(undefined)
    this.#byFlow[flow] = state
    return state
  }

  /** Ends it. */
  remove(state: UdpFlow): void {
    this.#byFlow[state.flow] = undefined
    this.#pool.push(state)
  }
}
