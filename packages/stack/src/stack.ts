/**
 * The stack: protocols register with it, and it hands them packets, events and time. It has no thread, no timer and no
 * descriptor of its own: a loop hands it events, and `turn.ts` has the rest of a turn.
 *
 * A handler that throws loses the packets of that call and their flow, nothing else: the stack ends the flow, counts
 * `stack: handler failed (NAME)`, and carries on. So it does with a policy that throws: `stack: policy failed`.
 */
import {
  type Address,
  ArenaExhaustedError,
  type Components,
  type Disposition,
  type DropReason,
  FlowEnd,
  type FlowEndId,
  type FlowIndex,
  type FlowTotals,
  flowOf,
  HANDLED,
  Interface,
  type InterfaceId,
  type ListenerRef,
  type Listeners,
  type ListeningEnd,
  NOT_MINE,
  type Observer,
  type PacketReceiver,
  PLUGIN_ARENA_BYTES,
  type PlaceShareId,
  type ProtocolHandler,
  type ProtocolPlugin,
  type Sequence,
  type SideRef,
  type SocketEvents,
} from "@demiflow/core"
import { Claims } from "./claims.ts"
import { Deciding } from "./deciding.ts"
import { FlowEvents } from "./flow-events.ts"
import { GuardedForwarding } from "./guarded-forwarding.ts"
import { GuardedHandlers } from "./guarded-handlers.ts"
import { StackListeners } from "./stack-listeners.ts"
import type { StackParts } from "./stack-parts.ts"

/** Milliseconds after which a handler is woken again that has failed when it was. */
const RETRY_INTERVAL = 100

/** A set of protocols over one guest and one host. */
export class Stack implements PacketReceiver, Listeners, SocketEvents {
  readonly parts: StackParts
  readonly #guarded: GuardedHandlers
  readonly #claims: Claims
  readonly #listeners: StackListeners
  readonly #deciding: Deciding
  readonly #events: FlowEvents
  /** By handler number. In a plain array, each number read would be an object on the heap. */
  #wakeAt = new Float64Array(8)
  readonly #unclaimed: DropReason
  readonly #expireFlow: (flow: FlowIndex) => void
  readonly #relieve: Components["relieve"]
  readonly #sparePlace: Components["makeRoom"]
  readonly #reportGuestError: Components["reportGuestError"]
  #now = 0
  #isStarted = false

  /** Registers plug-ins as {@link Stack.register} does. */
  constructor(parts: StackParts, plugins: readonly ProtocolPlugin[] = []) {
    const guarded = new GuardedHandlers(parts, (end) => this.#because(FlowEnd.failed, end))
    const reportPolicy = (error: unknown): void => guarded.policyFailed(error, parts.forwarding)
    this.parts = { ...parts, forwarding: new GuardedForwarding(parts.forwarding, parts.drops, reportPolicy) }
    this.#events = new FlowEvents({
      flows: parts.flows,
      drops: parts.drops,
      nameOf: (handler) => guarded.handlers[handler]?.name ?? "nobody",
      totalsOf: (flow, handler) => this.#totalsOf(flow, handler),
      failed: (error, observer) => guarded.observerFailed(error, observer),
    })
    for (const observer of parts.observers ?? []) this.observe(observer)
    this.#deciding = new Deciding({
      ...this.parts,
      running: () => guarded.running,
      replay: (sequence) => this.fromGuest(sequence),
      call: (handler, resume) => guarded.call(guarded.registered[handler], resume),
      failed: reportPolicy,
      refused: (protocol, initiating, verdict, ruling) => this.#events.refused(protocol, initiating, verdict, ruling),
    })
    this.#guarded = guarded
    this.#claims = new Claims(guarded, parts.arena)
    this.#listeners = new StackListeners(guarded, this.#claims)
    this.#unclaimed = parts.drops.reason("stack: no handler")
    this.#expireFlow = (flow) => this.#expire(flow)
    this.#relieve = () =>
      this.#because(FlowEnd.gaveWay, () =>
        guarded.registered.some((each) => guarded.ask(each, () => each.handler.giveWay?.())),
      )
    this.#sparePlace = (share: PlaceShareId) =>
      this.#because(FlowEnd.gaveWay, () =>
        guarded.registered.some((each) => guarded.ask(each, () => each.handler.givePlace?.(share))),
      )
    this.#reportGuestError = (protocol, tapSide, error) => {
      const side = parts.flows.lookup(protocol, tapSide)
      const registered = side < 0 ? undefined : guarded.registered[parts.flows.handlerOf(flowOf(side))]
      if (registered === undefined) return false
      return guarded.ask(registered, () => registered.handler.fromGuestError?.(side, error), flowOf(side))
    }
    for (const plugin of plugins) this.register(plugin)
  }

  get handlers(): readonly ProtocolHandler[] {
    return this.#guarded.handlers
  }

  get running(): number {
    return this.#guarded.running
  }

  /**
   * Sets up a protocol on this stack. Throws {@link ClaimConflictError} if its claims can't be ordered among those of
   * the protocols before, `ArenaExhaustedError`, and what the plug-in throws. The stack is as before then, and the
   * arena as well.
   */
  register(plugin: ProtocolPlugin): ProtocolHandler {
    const handlerNumber = this.#guarded.handlers.length
    this.#makeRoom(handlerNumber)
    this.#wakeAt[handlerNumber] = Number.POSITIVE_INFINITY
    let isRefused = false
    const wakeAt = (deadline: number) => {
      // The next plug-in has this number.
      if (!isRefused) this.#wakeAt[handlerNumber] = deadline
    }
    try {
      return this.parts.arena.attempt(() => this.#register(plugin, handlerNumber, wakeAt))
    } catch (error) {
      isRefused = true
      if (!(error instanceof ArenaExhaustedError)) throw error
      const { arenaBytes = PLUGIN_ARENA_BYTES } = plugin
      const declared = `it declares ${arenaBytes} in all`
      const remedy = `${declared}; declare its true "arenaBytes" with reserving(), or create a larger arena`
      throw new ArenaExhaustedError(error.size, error.remaining, `plug-in ${handlerNumber + 1} of the stack`, remedy)
    }
  }

  #register(plugin: ProtocolPlugin, handlerNumber: number, wakeAt: Components["wakeAt"]): ProtocolHandler {
    const stack = { relieve: this.#relieve, makeRoom: this.#sparePlace, reportGuestError: this.#reportGuestError }
    let handler: ProtocolHandler | undefined
    try {
      handler = plugin({
        ...this.parts,
        verdicts: this.#deciding,
        reports: this.#events,
        handlerNumber,
        wakeAt,
        ...stack,
      })
      const registered = this.#guarded.describe(handler)
      this.#claims.add(registered)
      this.#guarded.add(registered)
      return handler
    } catch (error) {
      // It may have begun flows. Observers would hear of them under the name of the next plug-in, which has its number.
      this.#guarded.endFlowsOf(handlerNumber, handler)
      this.#events.forget(handlerNumber)
      throw error
    }
  }

  /** Adds an observer, which hears of the events delivered from now on. Returns a function that removes it. */
  observe(observer: Observer): () => void {
    return this.#events.add(observer)
  }

  hasPorts(protocol: number): boolean {
    return this.#claims.hasPorts(protocol)
  }

  listen(
    protocol: number,
    end: ListeningEnd,
    targetAddress: Readonly<Address> | undefined,
    targetPort: number,
    place: InterfaceId = Interface.host,
  ): ListenerRef {
    return this.#listeners.listen(protocol, end, targetAddress, targetPort, place)
  }

  unlisten(ref: ListenerRef): void {
    this.#listeners.unlisten(ref)
  }

  portsInUse(protocol: number, place: InterfaceId): number[] {
    return this.#listeners.portsInUse(protocol, place)
  }

  /** Lets handlers send their unsolicited packets. Call it when the link takes frames; only the first call counts. */
  start(): void {
    if (this.#isStarted) return
    this.#isStarted = true
    this.#guarded.callAll((handler) => handler.start?.())
  }

  fromGuest(sequence: Sequence): void {
    let disposition: Disposition
    try {
      disposition = this.#claims.dispatch(sequence)
    } catch (error) {
      this.#guarded.failedWith(error, sequence)
      return
    }
    if (disposition === HANDLED) return
    const reason = disposition === NOT_MINE ? this.#unclaimed : (disposition as DropReason)
    this.parts.drops.count(reason, sequence.count)
  }

  /** Hands an event of a socket to the handler of its flow. Events for ended flows are ignored. */
  fromHost(side: SideRef, events: number): void {
    const flow = flowOf(side)
    const handler = this.parts.flows.handlerOf(flow)
    if (handler < 0) return
    this.#guarded.running = handler
    try {
      this.#guarded.handlers[handler].fromHost?.(side, events)
    } catch (error) {
      this.#guarded.failed(error, flow)
    }
  }

  /** Hands an event of a listening socket to its handler. Events for listeners that are gone are ignored. */
  fromListener(ref: ListenerRef, events: number): void {
    this.#listeners.deliver(ref, events)
  }

  /** Resumes output. Call it when the link takes frames again, that is, when its `isCongested` is over. */
  resume(): void {
    this.#guarded.callAll((handler) => handler.resume?.())
  }

  /**
   * Resumes flows after the link was gone and has come back, presumably with the same guest. Call it after
   * {@link Stack.start}.
   */
  reconnected(): void {
    this.resume()
    this.#guarded.callAll((handler) => handler.reconnected?.())
  }

  /** Calls the handlers of flows and timers that are due. */
  expire(now: number): void {
    this.#now = now
    this.#deciding.expire(now)
    this.parts.flows.expire(now, this.#expireFlow)
    for (let number = 0; number < this.#guarded.handlers.length; number++) {
      if (this.#wakeAt[number] > now) continue
      this.#wakeAt[number] = Number.POSITIVE_INFINITY
      this.#guarded.running = number
      try {
        this.#guarded.handlers[number].tick?.(now)
      } catch (error) {
        // It may not have asked for the next one, and may believe that it has.
        this.#wakeAt[number] = Math.min(this.#wakeAt[number], now + RETRY_INTERVAL)
        this.#guarded.failed(error)
      }
    }
  }

  /** Time at which {@link Stack.expire} is due next, in clock milliseconds; Infinity if never. */
  nextDeadline(): number {
    let deadline = Math.min(this.parts.flows.nextDeadline(), this.#deciding.nextDeadline())
    for (let number = 0; number < this.#guarded.handlers.length; number++) {
      if (this.#wakeAt[number] < deadline) deadline = this.#wakeAt[number]
    }
    return deadline
  }

  /** Finishes a turn: output goes to the link, places of ended flows become free. */
  endTurn(): void {
    for (let number = 0; number < this.#guarded.handlers.length; number++) {
      this.#guarded.running = number
      try {
        this.#guarded.handlers[number].endTurn?.()
      } catch (error) {
        this.#guarded.failed(error)
      }
    }
    const { guest } = this.parts
    if (guest.endTurn === undefined) guest.flush()
    else guest.endTurn()
    if (this.#events.endTurn()) this.parts.flows.endTurn()
  }

  /** Ends all flows at once. */
  abortFlows(): void {
    this.#deciding.withdraw()
    const abort = (flow: FlowIndex): void => this.#abort(flow)
    this.#because(FlowEnd.stopped, () => this.parts.flows.forEach(abort))
    this.endTurn()
  }

  /** Ends all flows, because the guest is gone. Listeners stay, and the next {@link Stack.start} counts. */
  stop(): void {
    this.abortFlows()
    if (this.#isStarted) this.#guarded.callAll((handler) => handler.stop?.())
    this.#isStarted = false
  }

  /** Ends all flows and stops listening, for good. */
  close(): void {
    this.#listeners.close()
    this.stop()
  }

  #abort(flow: FlowIndex): void {
    const { flows } = this.parts
    const registered = this.#guarded.registered[flows.handlerOf(flow)]
    if (registered === undefined) return
    const hasEnded = this.#guarded.call(registered, () => registered.handler.abort?.(flow))
    if (!hasEnded && flows.handlerOf(flow) >= 0) flows.release(flow, FlowEnd.failed)
  }

  #totalsOf(flow: FlowIndex, handler: number): FlowTotals {
    let totals: FlowTotals = {}
    const registered = this.#guarded.registered[handler]
    if (registered === undefined) return totals
    this.#guarded.ask(registered, () => {
      totals = registered.handler.totalsOf?.(flow) ?? totals
      return true
    })
    return totals
  }

  #expire(flow: FlowIndex): void {
    const number = this.parts.flows.handlerOf(flow)
    if (number < 0) return
    this.#guarded.running = number
    const { cause } = this.#events
    this.#events.cause = FlowEnd.timedOut
    try {
      this.#guarded.handlers[number].expire?.(flow, this.#now)
    } catch (error) {
      this.#guarded.failed(error, flow)
    } finally {
      this.#events.cause = cause
    }
  }

  /** Does something that ends flows for a reason that their handlers don't know. */
  #because<Result>(cause: FlowEndId, act: () => Result): Result {
    const before = this.#events.cause
    this.#events.cause = cause
    try {
      return act()
    } finally {
      this.#events.cause = before
    }
  }

  #makeRoom(handlerNumber: number): void {
    if (handlerNumber < this.#wakeAt.length) return
    const larger = new Float64Array(2 * this.#wakeAt.length)
    larger.set(this.#wakeAt)
    this.#wakeAt = larger
  }
}
