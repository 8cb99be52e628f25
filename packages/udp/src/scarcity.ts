import {
  type Components,
  DispensableFlows,
  type FlowIndex,
  type InitiatedFlow,
  isShortage,
  type MayGiveWay,
  type Socket,
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

/** Has flows give way where flows or sockets are scarce, and warns if that doesn't help. */
export class Scarcity {
  readonly #components: Components
  readonly #reasons: UdpReasons
  readonly #unanswered = new DispensableFlows()
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

  /** Makes sure that one more flow may be without answer. */
  makeRoom(): void {
    const { count, oldest } = this.#unanswered
    if (count >= this.#mostUnanswered && oldest !== undefined) this.#endFlow(oldest.flow)
  }

  /** Notes that a flow has begun that anybody could begin. */
  begun(flow: MayGiveWay): void {
    this.#unanswered.add(flow)
  }

  /** Notes that a flow was answered, or has ended. */
  settled(flow: MayGiveWay): void {
    this.#unanswered.remove(flow)
  }

  /** As `ProtocolHandler.giveWay`. */
  giveWay(): boolean {
    const flow = this.#unanswered.oldestWithSocket
    if (flow !== undefined) this.#endFlow(flow.flow)
    return flow !== undefined
  }

  /** What opening a socket answered: true if there was none left, and now is one again, so that it is worth another try. */
  isRelieved(answer: Socket): boolean {
    return isShortage(-answer) && this.#components.relieve()
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

  #warnOfShortage(): void {
    const { clock, log } = this.#components
    if (clock.now < this.#nextWarning) return
    this.#nextWarning = clock.now + WARNING_INTERVAL
    log.warning("udp: no sockets left for new flows: raise the limit of open files (ulimit -n)")
  }
}
