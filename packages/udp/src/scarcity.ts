import {
  Candidates,
  type Components,
  FAIR_TIME,
  type FlowIndex,
  GuestPort,
  type InitiatedFlow,
  IpProtocol,
  isShortage,
  type Listed,
  longerResting,
  type MayGiveWay,
  type NewFlow,
  PlaceShare,
  type PlaceShareId,
  restingSince,
  type SharedPort,
  type Socket,
  type SocketHolder,
  takePlace,
} from "@demiflow/core"
import { SplicedSide } from "./local/spliced-flow.ts"
import type { PortsInUse } from "./ports-in-use.ts"
import type { UdpReasons } from "./reasons.ts"

/** Milliseconds between two warnings that there are no more sockets. */
const WARNING_INTERVAL = 60_000
/**
 * Flows that anybody could begin, under as many addresses as can be forged, and that may be without answer; or a quarter of
 * the flow table if that is less. At the limit the oldest one gives way: a target that answers does so long before, and to
 * one that doesn't nothing is lost, since the next datagram of that sender begins a flow anew.
 */
const MOST_UNANSWERED = 1024
/** A conversation that has rested so long, milliseconds, gives its socket or its place to whatever needs one. */
const LONG_REST = 10_000

/** Whose flows are: those that begin outside, and the guest's own. */
class Origins<T extends Listed<T>> {
  readonly outside = new Candidates<T>()
  readonly own = new Candidates<T>()

  /** What can be spared; `before`: clock milliseconds since which what was answered has rested. */
  spare(now: number, before: number): T | undefined {
    const { outside, own } = this
    return outside.waitedInVain(now) ?? own.waitedInVain(now) ?? outside.resting(before) ?? own.resting(before)
  }

  /** What goes where nothing can be spared, and the guest needs it. */
  leastUsed(): T | undefined {
    return longerResting(this.outside.leastUsed(), this.own.leastUsed())
  }
}

/**
 * Has flows give way where flows or sockets are scarce, and warns if that doesn't help. For the guest go, in this order:
 *
 * 1. what nobody has answered in a fair time, or what is one of more unanswered than answered ones;
 * 2. what was answered and has rested that long, or longer if it is for another protocol;
 * 3. what has rested longest of all, if it is not for another protocol.
 *
 * In each case those from outside go before the guest's, and of each the one that was used longest ago.
 *
 * For what begins outside go, of those from outside, the same two, resting for a fair time in any case, and then any that is
 * unanswered. Only then goes one of the guest's that nobody has answered in a fair time. Nothing of the guest's that was
 * answered gives way to what begins outside, nor what was asked just now.
 *
 * Flows of the guest's share the socket of a port: ports give way for sockets, with all of their flows. Flows from outside at a
 * listening port have no socket to give.
 */
export class Scarcity {
  readonly #components: Components
  readonly #reasons: UdpReasons
  readonly #ports: PortsInUse
  readonly #flows = new Origins<MayGiveWay>()
  readonly #sockets = new Origins<SocketHolder>()
  readonly #mostUnanswered: number
  readonly #endFlow: (flow: FlowIndex) => void
  readonly #endAny = (): boolean => {
    const { now } = this.#components.clock
    return this.#end(this.#flows.spare(now, now - FAIR_TIME) ?? this.#flows.leastUsed())
  }
  #nextWarning = 0

  /** @param endFlow ends a flow that gives way */
  constructor(components: Components, reasons: UdpReasons, ports: PortsInUse, endFlow: (flow: FlowIndex) => void) {
    this.#components = components
    this.#reasons = reasons
    this.#ports = ports
    this.#endFlow = endFlow
    this.#mostUnanswered = Math.max(1, Math.min(MOST_UNANSWERED, components.flows.capacity >> 2))
  }

  /** A place for a flow from outside, which may be without answer; negative if none can be spared. */
  takePlaceOutside(): NewFlow {
    const { unanswered } = this.#flows.outside
    if (unanswered.count >= this.#mostUnanswered) this.#end(unanswered.leastUsed())
    return takePlace(this.#components, IpProtocol.udp, PlaceShare.fromOutside)
  }

  /** A place for a flow of the guest's; negative if there is none. */
  takePlace(): NewFlow {
    return takePlace(this.#components, IpProtocol.udp, PlaceShare.exchanges, this.#endAny)
  }

  /**
   * Notes that a flow has begun that anybody could begin.
   *
   * @param holder the socket that it has of its own
   */
  begunOutside(flow: MayGiveWay, holder?: SocketHolder): void {
    this.#flows.outside.unanswered.add(flow)
    if (holder !== undefined) this.#sockets.outside.unanswered.add(holder)
  }

  /** Notes that a flow of the guest's has begun, with a socket of its own or that of a port. */
  begun(flow: MayGiveWay, holder: SocketHolder | SharedPort): void {
    this.#flows.own.unanswered.add(flow)
    if (isHolder(holder) && holder.list === undefined) this.#sockets.own.unanswered.add(holder)
  }

  /** Notes that a flow was answered for the first time. */
  answered(flow: MayGiveWay, holder?: SocketHolder | SharedPort): void {
    const isOutside = flow.list === this.#flows.outside.unanswered
    ;(isOutside ? this.#flows.outside : this.#flows.own).answered.add(flow)
    if (holder === undefined || !isHolder(holder)) return
    const { outside, own } = this.#sockets
    if (holder.list === own.unanswered) own.answered.add(holder)
    else if (holder.list === outside.unanswered) outside.answered.add(holder)
  }

  /** Notes that a flow has ended. */
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

  /** What opening a socket answered: true if there was none left, and now is one again, so that it is worth another try. */
  isRelieved(answer: Socket): boolean {
    if (!isShortage(-answer)) return false
    if (this.giveWay() || this.#components.relieve()) return true
    const { now } = this.#components.clock
    return this.#endHolder(this.#sockets.spare(now, now - FAIR_TIME) ?? this.#sockets.leastUsed())
  }

  /** The same for a flow from outside: those of the guest's don't give way to it. */
  isRelievedOutside(answer: Socket): boolean {
    return isShortage(-answer) && this.#endHolder(this.#spareOutside(this.#sockets.outside))
  }

  /**
   * A flow can't begin for want of a socket: counts `count` packets.
   *
   * @param errno positive
   */
  giveUp(flow: InitiatedFlow, errno: number, count: number): undefined {
    this.#components.flows.cancel(flow)
    const isShort = isShortage(errno)
    this.#components.drops.count(isShort ? this.#reasons.noSocket : this.#reasons.openFailed, count)
    if (isShort) this.#warnOfShortage()
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

  #warnOfShortage(): void {
    const { clock, log } = this.#components
    if (clock.now < this.#nextWarning) return
    this.#nextWarning = clock.now + WARNING_INTERVAL
    log.warning("udp: no sockets left for new flows: raise the limit of open files (ulimit -n)")
  }
}

function isHolder(holder: SocketHolder | SharedPort): holder is SocketHolder {
  return holder instanceof GuestPort || holder instanceof SplicedSide
}
