import { type FlowIndex, flowOf, oppositeSide, type SideRef } from "@demiflow/core"
import { FlowStates, type GuestPort, type MayGiveWay, type Rider, type UseList } from "@demiflow/protocol-kit"

/** ICMP's state of an echo flow, besides its two sides in the flow table. */
export class EchoFlow implements MayGiveWay, Rider {
  /** The side towards the guest. */
  tapSide: SideRef
  /** The identifier on the host; undefined once the flow has ended. */
  port: GuestPort | undefined = undefined
  /** Clock milliseconds of the last message in either direction. */
  lastActivity = 0
  /** Bytes and sequence number of the last request: they complete an error's truncated quote. */
  lastLength = 0
  lastSequence = 0
  /** As `FlowTotals` of core. */
  packetsFromGuest = 0
  packetsToGuest = 0
  bytesFromGuest = 0
  bytesToGuest = 0
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

/** The echo flows. */
export class EchoFlows extends FlowStates<EchoFlow> {
  /** Adds the state of a new flow. */
  begin(tapSide: SideRef, port: GuestPort): EchoFlow {
    const state = this.spare() ?? new EchoFlow(tapSide)
    state.tapSide = tapSide
    state.port = port
    state.packetsFromGuest = 0
    state.packetsToGuest = 0
    state.bytesFromGuest = 0
    state.bytesToGuest = 0
    this.add(state.flow, state)
    return state
  }

  /** Removes the state of an ended flow, for reuse. */
  finish(state: EchoFlow): void {
    this.remove(state.flow)
    this.keep(state)
  }
}
