import { type Address, type FlowIndex, flowOf, oppositeSide, type SideRef, targetSide } from "@demiflow/core"
import { FlowStates, type MayGiveWay, type Rider, type SharedPort, type UseList } from "@demiflow/protocol-kit"
import type { Correspondence } from "./correspondents.ts"
import type { SplicedSide } from "./local/spliced-flow.ts"
import type { Lasting } from "./timeouts.ts"

/** A source address of the guest's datagrams to groups. */
export interface GroupSource {
  readonly address: Address
  /** Number of flows with this source, at one port. */
  count: number
}

/** A flow to a group. Those that began at one port are linked in the order in which they began. */
export interface ToGroup {
  readonly flow: UdpFlow
  /** The port at which it began. */
  readonly port: SharedPort
  /** The source address of its datagrams, once that is known. */
  source: GroupSource | undefined
  /** Sequences that the guest has sent while the source was unknown. */
  datagrams: number
  older: ToGroup | undefined
  newer: ToGroup | undefined
}

/** UDP's state of a flow between host and tap, besides its two sides in the flow table. */
export class UdpFlow implements MayGiveWay, Rider, Correspondence, Lasting {
  /** The side towards the guest. */
  tapSide: SideRef
  /** The port whose socket the flow shares; undefined once the flow has ended. */
  port: SharedPort | undefined = undefined
  /** IP version on the host side. */
  isHostV4 = true
  /** The host's interface of the correspondent, if that has a link-local address. */
  scope = 0
  /** Clock milliseconds of the last datagram in either direction. */
  lastActivity = 0
  isToWellKnownPort = false
  hasReply = false
  isConversation = false
  /** Payload bytes of the last datagram from the guest: the length that a quote in an error states. */
  lastLength = 0
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
  olderAlike: Correspondence | undefined = undefined
  newerAlike: Correspondence | undefined = undefined
  alikeKey = 0
  /** Further state of a flow to a group. */
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

  /** True if the first datagram came from the host. */
  get beganOnHost(): boolean {
    return this.tapSide === targetSide(this.flow)
  }
}

/** An object with a socket that datagrams are received from. */
export type Source = SharedPort | SplicedSide

/** The UDP flows between host and tap. */
export class UdpFlows extends FlowStates<UdpFlow> {
  /** Adds the state of a new flow. */
  begin(tapSide: SideRef, isHostV4: boolean, now: number): UdpFlow {
    const state = this.spare() ?? new UdpFlow(tapSide)
    state.tapSide = tapSide
    state.isHostV4 = isHostV4
    state.scope = 0
    state.lastActivity = now
    state.hasReply = false
    state.isConversation = false
    state.lastLength = 0
    state.packetsFromGuest = 0
    state.packetsToGuest = 0
    state.bytesFromGuest = 0
    state.bytesToGuest = 0
    this.add(state.flow, state)
    return state
  }

  /** Removes the state of an ended flow, for reuse. */
  finish(state: UdpFlow): void {
    this.remove(state.flow)
    this.keep(state)
  }
}
