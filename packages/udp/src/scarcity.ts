import {
  type Components,
  DispensableFlows,
  type FlowIndex,
  flowOf,
  GuestPort,
  type InitiatedFlow,
  isShortage,
  type MayGiveWay,
  PlaceShare,
  type PlaceShareId,
  type SharedPort,
  type Socket,
  UseList,
} from "@demiflow/core"
import type { UdpReasons } from "./reasons.ts"

/** Milliseconds between two warnings that there are no more sockets. */
const WARNING_INTERVAL = 60_000
/**
 * Flows that anybody could begin, under as many addresses as can be forged, and that may be without answer; or a quarter of
 * the flow table if that is less. At the limit the oldest one gives way: a target that answers does so long before, and to
 * one that doesn't nothing is lost, since the next datagram of that sender begins a flow anew.
 */
const MOST_UNANSWERED = 1024
/** A conversation that has rested so long, milliseconds, gives its socket to whatever needs one. */
const LONG_REST = 10_000

/** Flows of one origin. */
class Flows {
  readonly unanswered = new DispensableFlows()
  readonly answered = new DispensableFlows()
}

/**
 * Has flows give way where flows or sockets are scarce, and warns if that doesn't help: the unanswered before the answered, those
 * from outside before the guest's, and of each the one that was used longest ago.
 *
 * Flows of the guest's have a socket for each port. So it is ports that give way for sockets, with all of their flows.
 */
export class Scarcity {
  readonly #components: Components
  readonly #reasons: UdpReasons
  readonly #fromOutside = new Flows()
  readonly #ofGuest = new Flows()
  readonly #unansweredPorts = new UseList<GuestPort>()
  readonly #answeredPorts = new UseList<GuestPort>()
  readonly #mostUnanswered: number
  readonly #endFlow: (flow: FlowIndex) => void
  #nextWarning = 0

  /** @param endFlow ends a flow that gives way */
  constructor(components: Components, reasons: UdpReasons, endFlow: (flow: FlowIndex) => void) {
    this.#components = components
    this.#reasons = reasons
    this.#endFlow = endFlow
    this.#mostUnanswered = Math.max(1, Math.min(MOST_UNANSWERED, components.flows.capacity >> 2))
  }

  /** Makes sure that one more flow from outside may be without answer, and has a place if any can be spared for it. */
  makeRoomOutside(): void {
    const { unanswered, answered } = this.#fromOutside
    if (unanswered.count >= this.#mostUnanswered) this.#end(unanswered.oldest)
    if (this.#gainsPlace(PlaceShare.fromOutside)) this.#end(unanswered.oldest ?? answered.leastUsed())
  }

  /** Makes sure that there is a place for one more flow of the guest's. */
  makeRoom(): void {
    if (!this.#gainsPlace(PlaceShare.exchanges)) return
    const { unanswered, answered } = this.#fromOutside
    const own = this.#ofGuest
    this.#end(unanswered.oldest ?? own.unanswered.leastUsed() ?? answered.leastUsed() ?? own.answered.leastUsed())
  }

  /** Notes that a flow has begun that anybody could begin. */
  begunOutside(flow: MayGiveWay): void {
    this.#fromOutside.unanswered.add(flow)
  }

  /** Notes that a flow of the guest's has begun, at this port if that is one of the guest's. */
  begun(flow: MayGiveWay, port: SharedPort): void {
    this.#ofGuest.unanswered.add(flow)
    if (port instanceof GuestPort && port.list === undefined) this.#unansweredPorts.add(port)
  }

  /** Notes that a flow was answered for the first time. */
  answered(flow: MayGiveWay, port?: SharedPort): void {
    const isOutside = flow.list === this.#fromOutside.unanswered
    ;(isOutside ? this.#fromOutside : this.#ofGuest).answered.add(flow)
    if (port instanceof GuestPort && port.list === this.#unansweredPorts) this.#answeredPorts.add(port)
  }

  /** Notes that a flow has ended. */
  ended(flow: MayGiveWay): void {
    flow.list?.remove(flow)
  }

  /** As `ProtocolHandler.giveWay`. */
  giveWay(): boolean {
    return this.#giveWay(this.#components.clock.now - LONG_REST)
  }

  /** What opening a socket answered: true if there was none left, and now is one again, so that it is worth another try. */
  isRelieved(answer: Socket): boolean {
    if (!isShortage(-answer)) return false
    return this.giveWay() || this.#components.relieve() || this.#giveWay(Number.POSITIVE_INFINITY)
  }

  /** The same for a flow from outside: those of the guest's don't give way to it. */
  isRelievedOutside(answer: Socket): boolean {
    if (!isShortage(-answer)) return false
    const { unanswered, answered } = this.#fromOutside
    return this.#end(unanswered.leastUsed(holdsSocket) ?? answered.leastUsed(holdsSocket))
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

  /** Whether one flow less makes room for another one: where flows with larger shares fill these, nothing is gained. */
  #gainsPlace(share: PlaceShareId): boolean {
    return this.#components.flows.room(share) === 0
  }

  /** @param before clock milliseconds: what was answered must have been used before */
  #giveWay(before: number): boolean {
    const { unanswered, answered } = this.#fromOutside
    return (
      this.#end(unanswered.leastUsed(holdsSocket)) ||
      this.#endPort(this.#unansweredPorts.leastUsed()) ||
      this.#end(restingSince(before, answered.leastUsed(holdsSocket))) ||
      this.#endPort(restingSince(before, this.#answeredPorts.leastUsed()))
    )
  }

  #end(flow: MayGiveWay | undefined): boolean {
    if (flow === undefined) return false
    if (flow.list === this.#ofGuest.unanswered || flow.list === this.#fromOutside.unanswered) {
      this.#components.drops.count(this.#reasons.gaveWay)
    }
    this.#endFlow(flow.flow)
    return true
  }

  #endPort(port: GuestPort | undefined): boolean {
    if (port === undefined) return false
    if (port.list === this.#unansweredPorts) this.#components.drops.count(this.#reasons.gaveWay)
    // At once, so that the socket isn't handed over from flow to flow.
    port.close()
    for (let rider = port.newest; rider !== undefined; rider = port.newest) this.#endFlow(flowOf(rider.portSide))
    return true
  }

  #warnOfShortage(): void {
    const { clock, log } = this.#components
    if (clock.now < this.#nextWarning) return
    this.#nextWarning = clock.now + WARNING_INTERVAL
    log.warning("udp: no sockets left for new flows: raise the limit of open files (ulimit -n)")
  }
}

function holdsSocket(flow: MayGiveWay): boolean {
  return flow.holdsSocket
}

function restingSince<Item extends { readonly lastActivity: number }>(
  before: number,
  item: Item | undefined,
): Item | undefined {
  return item !== undefined && item.lastActivity <= before ? item : undefined
}
