/**
 * The base of protocols that keep flows: theory of operation.
 *
 * A flow begins with a packet of the guest for which there is none. The policy decides about it, and derives the flow's
 * side on the host; what it refuses is reported to the guest as administratively prohibited. The flow takes a place in
 * the table, and the protocol opens a socket ({@link FlowHandler.open}). Where places or sockets are scarce, flows of
 * all protocols that are idle give way, and an idle flow of this protocol gives way to others. From then on packets of
 * the guest go to {@link FlowHandler.send}.
 *
 * A socket reports a change by one event. {@link FlowHandler.onReadable} receives one packet, and its result says
 * whether to call it again; the base repeats it until the socket is empty. A flow has a budget for each turn. A flow
 * that has used it up waits for its next turn, and so does one while the guest is congested or has no room: what isn't
 * received stays in the host's kernel. A socket with a pending error reports nothing else, so the base takes the error.
 *
 * A flow ends when it was idle for {@link FlowHandler.idleTimeout}, when the policy no longer allows it, or when the
 * stack says so. Using a flow only records the time: the timer reads that when it expires, and restarts if the flow was
 * used.
 *
 * Not done: flows that begin on the host, and giving up sockets for others. A protocol can add `listen` and `giveWay`.
 */
import {
  type Claim,
  type Components,
  Demiflow,
  type Disposition,
  type DropReason,
  Errno,
  emptySocketError,
  type FlowIndex,
  type FlowTotals,
  HANDLED,
  isShortage,
  NOT_MINE,
  PlaceShare,
  type PlaceShareId,
  type ProtocolHandler,
  Ruling,
  type Sequence,
  type SideRef,
  type Socket,
  SocketEvent,
  targetSide,
  Verdict,
} from "@demiflow/core"
import type { FlowState } from "./flow-state.ts"
import { FlowStates } from "./flow-states.ts"
import { FAIR_TIME, type MayGiveWay, takePlace } from "./giving-way.ts"
import { GoingOn } from "./going-on.ts"
import { PacketRefusal } from "./packet-refusal.ts"
import { ShortageWarning } from "./shortage-warning.ts"
import { UseList } from "./use-list.ts"
import { WaitingList } from "./waiting-list.ts"

/** Packets that one flow may receive before the others have their turn. */
const BUDGET = 32
/** Entries that are read from a socket's error queue at a time. */
const ERROR_BUDGET = 1024
/** Milliseconds until space towards the link is requested again. */
const ROOM_PAUSE = 1

/** What {@link FlowHandler.onReadable} has found. */
export const Readable = {
  /** The socket is empty. Only then is an event to be expected. */
  nothing: 0,
  /** Something for the flow. The flow was used. */
  packet: 1,
  /** Something else: another flow's packet, an error, a packet that was dropped. */
  other: 2,
  /** There was no room towards the guest, and nothing was received. */
  noRoom: 3,
} as const
/** One of {@link Readable}. */
export type ReadableId = (typeof Readable)[keyof typeof Readable]

/** What a receiving call has found, by its result: the packets received, or a negated error number. */
export function foundBy(result: number): ReadableId {
  if (result > 0) return Readable.packet
  // Other errors are about something that was sent earlier. The call has taken the error, and there may be more behind
  // it.
  return result === 0 || result === -Errno.EAGAIN ? Readable.nothing : Readable.other
}

/** The name and the packets of a protocol. */
export interface FlowHandlerOptions {
  /** For logs and counters, such as `udp`. */
  readonly name: string
  /** IP protocol number. */
  readonly protocol: number
  /** True if the first four bytes of its header are source and destination port. */
  readonly hasPorts?: boolean
}

/** A protocol whose flows begin at the guest and have a socket on the host. */
export abstract class FlowHandler<State extends FlowState> implements ProtocolHandler {
  readonly name: string
  readonly claims: readonly Claim[]
  protected readonly components: Components
  /** IP protocol number. */
  protected readonly protocol: number
  /** The flows that exist. */
  protected readonly states: FlowStates<State> = new FlowStates<State>()
  readonly #byUse = new UseList<MayGiveWay>()
  readonly #waiting: WaitingList<State>
  readonly #goingOn: GoingOn
  readonly #warning: ShortageWarning
  readonly #noSocket: DropReason
  readonly #entry = emptySocketError()
  readonly #ruling = new Ruling()
  readonly #refusal: PacketRefusal
  readonly #target = new Demiflow()

  constructor(components: Components, { name, protocol, hasPorts = false }: FlowHandlerOptions) {
    this.name = name
    this.claims = [{ ipProtocol: protocol, hasPorts }]
    this.components = components
    this.protocol = protocol
    this.#waiting = new WaitingList(components, (state) => this.#receive(state))
    this.#goingOn = new GoingOn(components)
    this.#refusal = new PacketRefusal(components)
    this.#warning = new ShortageWarning(components, name)
    this.#noSocket = components.drops.reason(`${name}: no socket`)
  }

  /**
   * Opens the socket of a new flow. Returns the flow's state, or a negated error number. Called once more if sockets
   * were scarce, and others have given way.
   *
   * @param side of the flow, on the host: it receives the socket's events
   * @param tap the flow's side towards the guest
   * @param target the side on the host that the policy chose; changed to the actual one
   */
  protected abstract open(side: SideRef, tap: Demiflow, target: Demiflow): State | Socket
  /** Closes the socket of a flow that ends. */
  protected abstract close(state: State): void
  /** Milliseconds without use after which the flow ends. Called each time that its timer expires. */
  protected abstract idleTimeout(state: State): number
  /** Returns the flow's socket on the host; negative if it has none. */
  protected abstract socketOf(state: State): Socket
  /** Sends packets of the guest. They are valid during the call, and belong to the flow. */
  protected abstract send(state: State, sequence: Sequence): void
  /** Receives one packet from the flow's socket and delivers it to the guest. */
  protected abstract onReadable(state: State): ReadableId
  /** Called once the flow is active: it may be made findable by its side on the host. */
  protected onOpen(_state: State): void {}
  /** Called when the flow's socket has room again. */
  protected onWritable(_state: State): void {}
  /** Returns what a flow has carried. A protocol that knows its payload adds bytes. */
  protected totals({ packetsFromGuest, packetsToGuest }: State): FlowTotals {
    return { packetsFromGuest, packetsToGuest }
  }
  /**
   * Called with an error of the flow's socket, a positive number, which is no longer pending: an entry of its error
   * queue, or an error without one.
   */
  protected onError(_state: State, _errno: number): void {}

  /** Records that the flow was used. */
  protected used(state: State): void {
    state.lastActivity = this.components.clock.now
  }

  /** Records that a packet was delivered to the guest, and so that the flow was used. The first one is the answer. */
  protected delivered(state: State): void {
    this.used(state)
    if (state.packetsToGuest++ === 0) this.components.reports.changed(state.flow, "answered")
  }

  /** Ends a flow. Does nothing if it has ended. */
  protected end(state: State): void {
    const { flow } = state
    const { flows, log } = this.components
    if (this.states.get(flow) !== state) return
    if (log.isDebug) log.debug(`flow ${flow} (${this.name}) ended`)
    flows.release(flow)
    this.states.remove(flow)
    this.#byUse.remove(state)
    this.close(state)
  }

  fromGuest(sequence: Sequence): Disposition {
    const { flows } = this.components
    const side = flows.lookup(this.protocol, sequence.demiflow)
    const known = this.states.of(side)
    // Another handler has a flow with this key.
    if (known === undefined && side >= 0) return NOT_MINE
    const state = known ?? this.#begin(sequence)
    if (typeof state === "number") return state
    this.used(state)
    state.packetsFromGuest += sequence.count
    this.send(state, sequence)
    return HANDLED
  }

  fromHost(side: SideRef, events: number): void {
    const state = this.states.of(side)
    if (state === undefined) return
    if ((events & SocketEvent.error) !== 0) this.#takeErrors(state)
    if ((events & SocketEvent.writable) !== 0 && this.#lasts(state)) this.onWritable(state)
    if ((events & ~SocketEvent.writable) !== 0) this.#receive(state)
  }

  tick(): void {
    this.#waiting.tick()
  }

  resume(): void {
    this.#waiting.resume()
  }

  start(): void {
    // Flows that waited for a guest that is gone aren't notified that another one takes frames.
    this.#waiting.resume()
  }

  expire(flow: FlowIndex, now: number): void {
    const state = this.states.get(flow)
    if (state === undefined) return
    const deadline = state.lastActivity + this.idleTimeout(state)
    const lasts = deadline > now && this.#goingOn.isAllowed(this.protocol, state.tapSide)
    if (lasts) this.components.flows.schedule(flow, deadline)
    else this.end(state)
  }

  totalsOf(flow: FlowIndex): FlowTotals {
    const state = this.states.get(flow)
    return state === undefined ? {} : this.totals(state)
  }

  abort(flow: FlowIndex): void {
    const state = this.states.get(flow)
    if (state !== undefined) this.end(state)
  }

  givePlace(share: PlaceShareId): boolean {
    // A flow from outside must not displace one of the guest's.
    const item = share === PlaceShare.fromOutside ? undefined : this.#byUse.leastUsed()
    if (item === undefined || item.lastActivity > this.components.clock.now - FAIR_TIME) return false
    this.abort(item.flow)
    return true
  }

  /** Begins a flow for packets of the guest. Returns what became of the packets if that fails. */
  #begin(sequence: Sequence): State | Disposition {
    const { clock, drops, flows, log, verdicts } = this.components
    const { demiflow: tap, count } = sequence
    const ruling = this.#ruling
    const verdict = verdicts.fromGuest(this.protocol, tap, ruling, sequence, 0)
    // The stack keeps the packets, and hands them over again.
    if (verdict === Verdict.later) return HANDLED
    if (verdict === Verdict.refuse) this.#refusal.prohibit(sequence, 0)
    if (verdict !== Verdict.forward) return ruling.reason
    const created = takePlace(this.components, this.protocol, PlaceShare.exchanges)
    if (created < 0) {
      // The table has counted one.
      drops.count(drops.reason("flow: table full"), count - 1)
      return HANDLED
    }
    // In stages: an incomplete flow can't be found.
    const initiated = flows.initiate(created, tap)
    const state = this.#open(targetSide(initiated), tap)
    if (typeof state === "number") {
      if (isShortage(-state)) this.#warning.warn()
      flows.cancel(initiated)
      return this.#noSocket
    }
    const flow = flows.activate(flows.target(initiated, this.#target, ruling.rule))
    state.flow = flow
    state.lastActivity = clock.now
    this.states.add(flow, state)
    this.#byUse.add(state)
    flows.schedule(flow, clock.now + this.idleTimeout(state))
    if (log.isDebug) log.debug(`flow ${flow} (${this.name}) ${tap} ⇄ ${this.#target}`)
    this.onOpen(state)
    return state
  }

  #open(side: SideRef, tap: Demiflow): State | Socket {
    const target = this.#target
    const state = this.open(side, tap, target.copyFrom(this.#ruling.target))
    if (typeof state !== "number" || !isShortage(-state) || !this.components.relieve()) return state
    return this.open(side, tap, target.copyFrom(this.#ruling.target))
  }

  /** Receives until the flow's socket is empty, its budget is used up, or the guest takes no more. */
  #receive(state: State): void {
    const { clock, guest } = this.components
    let isFlushed = false
    for (let left = BUDGET; left > 0 && !guest.isCongested; left--) {
      if (!this.#lasts(state)) return
      const found = this.onReadable(state)
      if (found === Readable.nothing) return
      if (found === Readable.packet) this.delivered(state)
      if (found !== Readable.noRoom) continue
      if (isFlushed) {
        this.#waiting.wait(state, clock.now + ROOM_PAUSE)
        return
      }
      isFlushed = true
      guest.flush()
    }
    this.#waiting.wait(state, clock.now)
  }

  #takeErrors(state: State): void {
    const { sockets } = this.components
    const socket = this.socketOf(state)
    const entry = this.#entry
    for (let left = ERROR_BUDGET; left > 0 && this.#lasts(state); left--) {
      if (socket < 0 || sockets.receiveError(socket, entry) <= 0) break
      this.onError(state, entry.errno)
    }
    const answer = socket >= 0 && this.#lasts(state) ? sockets.socketError(socket) : 0
    if (answer < 0) this.onError(state, -answer)
  }

  #lasts(state: State): boolean {
    return this.states.get(state.flow) === state
  }
}
