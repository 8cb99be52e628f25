import {
  type Components,
  type FlowIndex,
  type InitiatedFlow,
  IpProtocol,
  isShortage,
  type NewFlow,
  PlaceShare,
  type PlaceShareId,
  type Socket,
} from "@demiflow/core"
import {
  Candidates,
  FAIR_TIME,
  GuestPort,
  type Listed,
  longerResting,
  type MayGiveWay,
  restingSince,
  type SharedPort,
  ShortageWarning,
  type SocketHolder,
  takePlace,
} from "@demiflow/protocol-kit"
import { SplicedSide } from "./local/spliced-flow.ts"
import type { PortsInUse } from "./ports-in-use.ts"
import type { UdpReasons } from "./reasons.ts"

/**
 * Maximum number of unanswered flows that began outside, or a quarter of the flow table if that is less: anybody could
 * begin them, with as many forged addresses as they like. At the limit the oldest one gives way. A target that answers
 * does so long before; and one that doesn't loses nothing, since the next datagram of that sender begins a flow anew.
 */
const MOST_UNANSWERED = 1024
/** Milliseconds after which an idle conversation gives its socket or its place to whatever needs one. */
const LONG_REST = 10_000

/** Candidates by origin: flows that begin outside, and the guest's own. */
class Origins<T extends Listed<T>> {
  readonly outside = new Candidates<T>()
  readonly own = new Candidates<T>()

  /** Returns what can be spared. An answered one must have been idle since `before`, clock milliseconds. */
  spare(now: number, before: number): T | undefined {
    const { outside, own } = this
    return outside.waitedInVain(now) ?? own.waitedInVain(now) ?? outside.resting(before) ?? own.resting(before)
  }

  /** Returns what gives way to the guest where nothing can be spared. */
  leastUsed(): T | undefined {
    return longerResting(this.outside.leastUsed(), this.own.leastUsed())
  }
}

/**
 * Evicts flows where flow table entries or sockets are scarce, and warns if that doesn't help. For a flow of the guest,
 * it evicts, in this order:
 *
 * 1. an unanswered flow after a fair time, or even before that if more flows are unanswered than answered;
 * 2. an answered flow that was idle for a fair time, or longer if it is evicted for another protocol;
 * 3. the flow that was idle longest, unless it is evicted for another protocol.
 *
 * In cases 1 and 2, flows from outside go before the guest's, and of each the one that was used longest ago.
 *
 * For a flow from outside, it evicts flows from outside: as in cases 1 and 2, with a fair time in any case, and then
 * any that is unanswered. For a place in the flow table, it then evicts a flow of the guest that is unanswered after a
 * fair time. No answered flow of the guest gives way to a flow from outside, and none whose request was sent just now.
 *
 * Flows of the guest share the socket of a port: ports give way for sockets, with all of their flows. Flows from
 * outside at a listening port have no socket to give.
 */
export class Scarcity {
  readonly #components: Components
  readonly #reasons: UdpReasons
  readonly #warning: ShortageWarning
  readonly #ports: PortsInUse
  readonly #flows = new Origins<MayGiveWay>()
  readonly #sockets = new Origins<SocketHolder>()
  readonly #mostUnanswered: number
  readonly #endFlow: (flow: FlowIndex) => void
  readonly #endAny = (): boolean => {
    const { now } = this.#components.clock
    return this.#end(this.#flows.spare(now, now - FAIR_TIME) ?? this.#flows.leastUsed())
  }

  /** @param endFlow ends a flow that gives way */
  constructor(components: Components, reasons: UdpReasons, ports: PortsInUse, endFlow: (flow: FlowIndex) => void) {
    this.#components = components
    this.#reasons = reasons
    this.#warning = new ShortageWarning(components, "udp")
    this.#ports = ports
    this.#endFlow = endFlow
    this.#mostUnanswered = Math.max(1, Math.min(MOST_UNANSWERED, components.flows.capacity >> 2))
  }

  /** Takes a flow table entry for a flow from outside, which may stay unanswered. Negative if none can be spared. */
  takePlaceOutside(): NewFlow {
    const { unanswered } = this.#flows.outside
    if (unanswered.count >= this.#mostUnanswered) this.#end(unanswered.leastUsed())
    return takePlace(this.#components, IpProtocol.udp, PlaceShare.fromOutside)
  }

  /** Takes a flow table entry for a flow of the guest. Negative if there is none. */
  takePlace(): NewFlow {
    return takePlace(this.#components, IpProtocol.udp, PlaceShare.exchanges, this.#endAny)
  }

  /**
   * Records that a flow from outside has begun: anybody could begin it.
   *
   * @param holder the flow's own socket, if it has one
   */
  begunOutside(flow: MayGiveWay, holder?: SocketHolder): void {
    this.#flows.outside.unanswered.add(flow)
    if (holder !== undefined) this.#sockets.outside.unanswered.add(holder)
  }

  /** Records that a flow of the guest has begun, with a socket of its own or that of a port. */
  begun(flow: MayGiveWay, holder: SocketHolder | SharedPort): void {
    this.#flows.own.unanswered.add(flow)
    if (isHolder(holder) && holder.list === undefined) this.#sockets.own.unanswered.add(holder)
  }

  /** Records that a flow was answered for the first time. */
  answered(flow: MayGiveWay, holder?: SocketHolder | SharedPort): void {
    const isOutside = flow.list === this.#flows.outside.unanswered
    ;(isOutside ? this.#flows.outside : this.#flows.own).answered.add(flow)
    if (holder === undefined || !isHolder(holder)) return
    const { outside, own } = this.#sockets
    if (holder.list === own.unanswered) own.answered.add(holder)
    else if (holder.list === outside.unanswered) outside.answered.add(holder)
  }

  /** Records that a flow has ended. */
  ended(flow: MayGiveWay): void {
    flow.list?.remove(flow)
  }

  /** As `ProtocolHandler.giveWay`. */
  giveWay(): boolean {
    const { now } = this.#components.clock
    return this.#endHolder(this.#sockets.spare(now, now - LONG_REST))
  }

  /** As `ProtocolHandler.givePlace`. */
  givePlace(share: PlaceShareId): boolean {
    const { now } = this.#components.clock
    const { outside, own } = this.#flows
    if (share !== PlaceShare.fromOutside) return this.#end(this.#flows.spare(now, now - LONG_REST))
    return this.#end(this.#spareOutside(outside) ?? restingSince(now - FAIR_TIME, own.unanswered.leastUsed()))
  }

  /** Frees a socket if opening one has failed for want of sockets. Returns true if another try is worth it. */
  isRelieved(answer: Socket): boolean {
    if (!isShortage(-answer)) return false
    if (this.giveWay() || this.#components.relieve()) return true
    const { now } = this.#components.clock
    return this.#endHolder(this.#sockets.spare(now, now - FAIR_TIME) ?? this.#sockets.leastUsed())
  }

  /** The same for a flow from outside: flows of the guest don't give way to it. */
  isRelievedOutside(answer: Socket): boolean {
    return isShortage(-answer) && this.#endHolder(this.#spareOutside(this.#sockets.outside))
  }

  /**
   * Cancels a flow that can't begin for want of a socket or a way, and counts `count` packets.
   *
   * @param errno positive
   */
  giveUp(flow: InitiatedFlow, errno: number, count: number): undefined {
    this.#components.flows.cancel(flow)
    const isShort = isShortage(errno)
    this.#components.drops.count(isShort ? this.#reasons.noSocket : this.#reasons.openFailed, count)
    if (isShort) this.#warning.warn()
  }

  #spareOutside<T extends Listed<T>>(outside: Candidates<T>): T | undefined {
    const { now } = this.#components.clock
    return outside.waitedInVain(now) ?? outside.resting(now - FAIR_TIME) ?? outside.unanswered.leastUsed()
  }

  #end(flow: MayGiveWay | undefined): boolean {
    if (flow === undefined) return false
    const { outside, own } = this.#flows
    if (flow.list === own.unanswered || flow.list === outside.unanswered) this.#countUnanswered()
    this.#endFlow(flow.flow)
    return true
  }

  #endHolder(holder: SocketHolder | undefined): boolean {
    if (holder === undefined) return false
    const { outside, own } = this.#sockets
    if (holder.list === own.unanswered || holder.list === outside.unanswered) this.#countUnanswered()
    if (holder instanceof GuestPort) this.#ports.retire(holder)
    else if (holder instanceof SplicedSide) this.#endFlow(holder.flow.flow)
    return true
  }

  #countUnanswered(): void {
    this.#components.drops.count(this.#reasons.gaveWay)
  }
}

function isHolder(holder: SocketHolder | SharedPort): holder is SocketHolder {
  return holder instanceof GuestPort || holder instanceof SplicedSide
}
