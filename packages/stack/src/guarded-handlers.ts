/**
 * What happens when a handler throws: its flow ends, the error is counted as `stack: handler failed (NAME)` and logged,
 * and the stack carries on. Which handler is offered a packet: `claims.ts`.
 */
import {
  type FlowIndex,
  type Forwarding,
  flowOf,
  NO_SIDE,
  type Observer,
  type ProtocolHandler,
  type Sequence,
} from "@demiflow/core"
import type { Registered } from "./registered.ts"
import type { StackParts } from "./stack-parts.ts"

/** Milliseconds between two logged errors about failing handlers. */
const FAILURE_LOG_INTERVAL = 1_000

/**
 * The registered handlers, and calls of them that never throw. Calls on the path of packets aren't passed through here,
 * as a function for each would be allocated: their callers set {@link GuardedHandlers.running}, and pass what a handler
 * throws to {@link GuardedHandlers.failed}.
 */
export class GuardedHandlers {
  /** Handlers in the order of registration; the index is the handler number. */
  readonly handlers: ProtocolHandler[] = []
  readonly registered: Registered[] = []
  /** Number of the handler that is being called, or was called last; -1 before the first call. */
  running = -1
  readonly #parts: StackParts
  readonly #endsFailed: (end: () => void) => void
  #loggedAt = Number.NEGATIVE_INFINITY

  /** @param endsFailed calls a function that ends a flow because its handler has failed */
  constructor(parts: StackParts, endsFailed: (end: () => void) => void) {
    this.#parts = parts
    this.#endsFailed = endsFailed
  }

  /** What the stack knows of a handler that is about to be added. Its number is the next one. */
  describe(handler: ProtocolHandler): Registered {
    const failed = this.#parts.drops.reason(`stack: handler failed (${handler.name})`)
    return { handler, number: this.handlers.length, failed }
  }

  add(registered: Registered): void {
    this.handlers.push(registered.handler)
    this.registered.push(registered)
  }

  /**
   * Ends the flows that a handler has begun which isn't added after all. It is undefined if its plug-in has thrown.
   * Only its own mistakes could be reported, and the caller has a better error.
   */
  endFlowsOf(number: number, handler: ProtocolHandler | undefined): void {
    const { flows } = this.#parts
    flows.forEach((flow) => {
      if (flows.handlerOf(flow) === number) this.#endFlow(handler, flow)
    })
  }

  /** Calls every handler, off the path of packets. */
  callAll(call: (handler: ProtocolHandler) => void): void {
    for (const registered of this.registered) this.call(registered, () => call(registered.handler))
  }

  /** Calls a handler, off the path of packets. Returns false if it has thrown. */
  call(registered: Registered, call: () => void, flow?: FlowIndex): boolean {
    this.running = registered.number
    try {
      call()
      return true
    } catch (error) {
      this.failed(error, flow)
      return false
    }
  }

  /** Asks a handler a question on behalf of another one. A handler that throws counts as a "no". */
  ask(registered: Registered, question: () => boolean | undefined, flow?: FlowIndex): boolean {
    const asking = this.running
    let answer = false
    this.call(
      registered,
      () => {
        answer = question() === true
      },
      flow,
    )
    this.running = asking
    return answer
  }

  /** Handles an exception of the running handler: ends the flow that it was called for, counts and reports. */
  failed(error: unknown, flow?: FlowIndex): void {
    const parts = this.#parts
    const { handler, failed } = this.registered[this.running]
    parts.drops.count(failed)
    const isItsOwn = flow !== undefined && this.handlers[parts.flows.handlerOf(flow)] === handler
    if (isItsOwn) this.#endFlow(handler, flow)
    this.#report(error, `The protocol "${handler.name}"`, handler)
  }

  /** Reports an exception of the forwarding policy. */
  policyFailed(error: unknown, policy: Forwarding): void {
    this.#report(error, "The forwarding policy", policy)
  }

  /** Handles an exception of the running handler about packets from the guest. */
  failedWith(error: unknown, { protocol, demiflow }: Sequence): void {
    const side = protocol < 0 ? NO_SIDE : this.#parts.flows.lookup(protocol, demiflow)
    this.failed(error, side < 0 ? undefined : flowOf(side))
  }

  /** Reports an exception of an observer. */
  observerFailed(error: unknown, observer: Observer): void {
    this.#report(error, "An observer", observer)
  }

  #report(error: unknown, subject: string, failed: ProtocolHandler | Forwarding | Observer): void {
    const { clock, log, onFailure } = this.#parts
    if (onFailure !== undefined) {
      onFailure(error, failed)
      return
    }
    if (clock.now - this.#loggedAt < FAILURE_LOG_INTERVAL) return
    this.#loggedAt = clock.now
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
    log.error(`${subject} failed: ${what}`)
  }

  /** Ends a flow of a handler that has failed, giving the handler a chance to clean up. */
  #endFlow(handler: ProtocolHandler | undefined, flow: FlowIndex): void {
    const { flows } = this.#parts
    this.#endsFailed(() => {
      try {
        handler?.abort?.(flow)
      } catch {
        // The failure is counted and reported already; only the place remains to be released.
      }
      if (flows.handlerOf(flow) >= 0) flows.release(flow)
    })
  }
}
