/**
 * The stack: where protocols register, and what hands packets, events and time to them.
 *
 * One turn is: packets from the guest ({@link Stack.fromTap}, called by the tap layer), events of sockets
 * ({@link Stack.fromHost}), timers ({@link Stack.expire}), then {@link Stack.endTurn}, which lets handlers finish what
 * they gathered and flushes to the link. The owner of the loop calls these; the stack has no thread, no timer and no
 * descriptor of its own.
 */
import type { Address } from "./address.ts"
import { Interface, type InterfaceId } from "./demiflow.ts"
import { type Disposition, HANDLED, NOT_MINE } from "./disposition.ts"
import type { DropReason } from "./drops.ts"
import { type FlowIndex, flowOf, type PlaceShareId, type SideRef } from "./flow-table.ts"
import { Errno, NO_SOCKET } from "./host.ts"
import type { Listener, ListenerRef, ListeningEnd } from "./listener.ts"
import type { Claim, Components, ProtocolHandler, ProtocolPlugin } from "./plugin.ts"
import type { Sequence } from "./sequence.ts"

/** What a stack is made of: everything that its protocols are offered but what concerns a single one. */
export type StackParts = Omit<Components, "handlerNumber" | "wakeAt" | "relieve" | "makeRoom" | "reportGuestError">

interface Listening {
  readonly listener: Listener
  readonly handler: ProtocolHandler
}

/** A set of protocols over one guest and one host. */
export class Stack {
  readonly parts: StackParts
  readonly #handlers: ProtocolHandler[] = []
  /** Claims to one port, by protocol · 65,536 + port. */
  readonly #byPort = new Map<number, ProtocolHandler[]>()
  readonly #byProtocol: ProtocolHandler[][] = []
  readonly #ofOtherProtocols: ProtocolHandler[] = []
  readonly #byEtherType = new Map<number, ProtocolHandler[]>()
  readonly #portProtocols = new Uint8Array(256)
  /** By handler number. Of an array of numbers, each that is looked at would be an object on the heap. */
  #wakeAt = new Float64Array(8)
  readonly #unclaimed: DropReason
  readonly #expireFlow: (flow: FlowIndex) => void
  readonly #relieve = (): boolean => this.#handlers.some((handler) => handler.giveWay?.() === true)
  readonly #sparePlace = (share: PlaceShareId): boolean =>
    this.#handlers.some((handler) => handler.givePlace?.(share) === true)
  readonly #reportGuestError: Components["reportGuestError"]
  readonly #listeners: (Listening | undefined)[] = []
  readonly #freeListeners: ListenerRef[] = []
  #now = 0
  #isStarted = false

  /** @param plugins in the order in which they are asked */
  constructor(parts: StackParts, plugins: readonly ProtocolPlugin[] = []) {
    this.parts = parts
    this.#unclaimed = parts.drops.reason("stack: no handler")
    this.#expireFlow = (flow) => {
      this.#handlers[this.parts.flows.handlerOf(flow)]?.expire?.(flow, this.#now)
    }
    this.#reportGuestError = (protocol, tapSide, error) => {
      const side = this.parts.flows.lookup(protocol, tapSide)
      const handler = side < 0 ? undefined : this.#handlers[this.parts.flows.handlerOf(flowOf(side))]
      return handler?.fromGuestError?.(side, error) ?? false
    }
    for (const plugin of plugins) this.register(plugin)
  }

  /** Handlers in the order of registration; the index is the handler number. */
  get handlers(): readonly ProtocolHandler[] {
    return this.#handlers
  }

  /** Sets a protocol up on this stack. */
  register(plugin: ProtocolPlugin): ProtocolHandler {
    const handlerNumber = this.#handlers.length
    this.#makeRoom(handlerNumber)
    this.#wakeAt[handlerNumber] = Number.POSITIVE_INFINITY
    const wakeAt = (deadline: number) => {
      this.#wakeAt[handlerNumber] = deadline
    }
    const stack = { relieve: this.#relieve, makeRoom: this.#sparePlace, reportGuestError: this.#reportGuestError }
    const handler = plugin({ ...this.parts, handlerNumber, wakeAt, ...stack })
    this.#handlers.push(handler)
    for (const claim of handler.claims) this.#addClaim(claim, handler)
    return handler
  }

  /** True if the first four bytes of this IP protocol's header are ports, as one of its handlers says. */
  hasPorts(protocol: number): boolean {
    return this.#portProtocols[protocol] === 1
  }

  /**
   * Listens on the host for the guest, or inside the guest's namespace for the host. Answers the listener's number, or a
   * negated error number: `-EPROTONOSUPPORT` if no handler listens for this protocol, or not there.
   *
   * @param protocol IP protocol number
   * @param targetAddress at the other end; absent: the one that the guest was last seen to use, or the host's loopback
   * @param place where to listen: `host`, or `splice` inside the namespace
   */
  listen(
    protocol: number,
    end: ListeningEnd,
    targetAddress: Readonly<Address> | undefined,
    targetPort: number,
    place: InterfaceId = Interface.host,
  ): ListenerRef {
    const handler = this.#byProtocol[protocol]?.find((candidate) => candidate.listen !== undefined)
    if (handler === undefined) return -Errno.EPROTONOSUPPORT as ListenerRef
    const ref = (this.#freeListeners.pop() ?? this.#listeners.push(undefined) - 1) as ListenerRef
    const listener = { ref, protocol, interface: place, end, targetAddress, targetPort, socket: NO_SOCKET }
    const result = handler.listen?.(listener) ?? 0
    if (result < 0) {
      this.#freeListeners.push(ref)
      return result as ListenerRef
    }
    this.#listeners[ref] = { listener, handler }
    return ref
  }

  /** Stops listening. What becomes of flows that began there is the protocol's affair: those of TCP go on, those of UDP end. */
  unlisten(ref: ListenerRef): void {
    const listening = this.#listeners[ref]
    if (listening === undefined) return
    this.#listeners[ref] = undefined
    this.#freeListeners.push(ref)
    listening.handler.unlisten?.(listening.listener)
  }

  /** Numbers of ports there that flows of a protocol have, and nobody listens at: see {@link ProtocolHandler.portsInUse}. */
  portsInUse(protocol: number, place: InterfaceId): number[] {
    const numbers: number[] = []
    for (const handler of this.#byProtocol[protocol] ?? []) {
      for (const number of handler.portsInUse?.(place) ?? []) numbers.push(number)
    }
    return numbers
  }

  /** Lets handlers send what they send unasked. Call it when the link takes frames; only the first call counts. */
  start(): void {
    if (this.#isStarted) return
    this.#isStarted = true
    for (const handler of this.#handlers) handler.start?.()
  }

  /** Hands packets from the guest to the handlers with a claim on them. */
  fromTap(sequence: Sequence): void {
    const disposition = this.#dispatch(sequence)
    if (disposition === HANDLED) return
    const reason = disposition === NOT_MINE ? this.#unclaimed : (disposition as DropReason)
    this.parts.drops.count(reason, sequence.count)
  }

  /** Hands an event of a socket to the handler of its flow. Events for ended flows are ignored. */
  fromHost(side: SideRef, events: number): void {
    const handler = this.parts.flows.handlerOf(flowOf(side))
    if (handler >= 0) this.#handlers[handler].fromHost?.(side, events)
  }

  /** Hands an event of a listening socket to its handler. Events for listeners that are gone are ignored. */
  fromListener(ref: ListenerRef, events: number): void {
    const listening = this.#listeners[ref]
    listening?.handler.fromListener?.(listening.listener, events)
  }

  /** The link takes frames again: call it when its `isCongested` is over. */
  resume(): void {
    for (const handler of this.#handlers) handler.resume?.()
  }

  /**
   * The link was gone, and is there again, with the same guest as far as is known: flows go on at once. Call it after
   * {@link Stack.start}.
   */
  reconnected(): void {
    this.resume()
    for (const handler of this.#handlers) handler.reconnected?.()
  }

  /** Runs what is due. */
  expire(now: number): void {
    this.#now = now
    this.parts.flows.expire(now, this.#expireFlow)
    for (let number = 0; number < this.#handlers.length; number++) {
      if (this.#wakeAt[number] > now) continue
      this.#wakeAt[number] = Number.POSITIVE_INFINITY
      this.#handlers[number].tick?.(now)
    }
  }

  /** When {@link Stack.expire} has something to do next, in clock milliseconds; Infinity if never. */
  nextDeadline(): number {
    let deadline = this.parts.flows.nextDeadline()
    for (let number = 0; number < this.#handlers.length; number++) {
      if (this.#wakeAt[number] < deadline) deadline = this.#wakeAt[number]
    }
    return deadline
  }

  /** Finishes a turn: output goes to the link, places of ended flows become free. */
  endTurn(): void {
    for (const handler of this.#handlers) handler.endTurn?.()
    this.parts.guest.flush()
    this.parts.flows.endTurn()
  }

  /** Ends all flows at once. */
  abortFlows(): void {
    this.parts.flows.forEach((flow) => {
      this.#handlers[this.parts.flows.handlerOf(flow)]?.abort?.(flow)
    })
    this.endTurn()
  }

  /** The guest is gone: ends all flows. Listeners stay, and {@link Stack.start} counts again. */
  stop(): void {
    this.abortFlows()
    if (this.#isStarted) for (const handler of this.#handlers) handler.stop?.()
    this.#isStarted = false
  }

  #makeRoom(handlerNumber: number): void {
    if (handlerNumber < this.#wakeAt.length) return
    const larger = new Float64Array(2 * this.#wakeAt.length)
    larger.set(this.#wakeAt)
    this.#wakeAt = larger
  }

  #dispatch(sequence: Sequence): Disposition {
    if (sequence.protocol < 0) return offer(this.#byEtherType.get(sequence.etherType), sequence)
    if (this.#byPort.size > 0 && this.#portProtocols[sequence.protocol] === 1) {
      const key = (sequence.protocol << 16) | sequence.demiflow.forwardingPort
      const claimants = this.#byPort.get(key)
      if (claimants !== undefined) {
        const disposition = offer(claimants, sequence)
        if (disposition !== NOT_MINE) return disposition
      }
    }
    return offer(this.#byProtocol[sequence.protocol] ?? this.#ofOtherProtocols, sequence)
  }

  #addClaim(claim: Claim, handler: ProtocolHandler): void {
    if ("etherType" in claim) {
      append(this.#byEtherType, claim.etherType, handler)
      return
    }
    if ("otherIpProtocols" in claim) {
      this.#ofOtherProtocols.push(handler)
      return
    }
    const { ipProtocol, forwardingPort } = claim
    if (claim.hasPorts || forwardingPort !== undefined) this.#portProtocols[ipProtocol] = 1
    if (forwardingPort !== undefined) append(this.#byPort, (ipProtocol << 16) | forwardingPort, handler)
    else this.#byProtocol[ipProtocol] = [...(this.#byProtocol[ipProtocol] ?? []), handler]
  }
}

function offer(handlers: readonly ProtocolHandler[] | undefined, sequence: Sequence): Disposition {
  if (handlers === undefined) return NOT_MINE
  for (let index = 0; index < handlers.length; index++) {
    const disposition = handlers[index].fromTap(sequence)
    if (disposition !== NOT_MINE) return disposition
  }
  return NOT_MINE
}

function append(map: Map<number, ProtocolHandler[]>, key: number, handler: ProtocolHandler): void {
  const handlers = map.get(key)
  if (handlers === undefined) map.set(key, [handler])
  else handlers.push(handler)
}
