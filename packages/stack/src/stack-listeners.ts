/** The ports at which a stack listens for its guest. */
import {
  type Address,
  Errno,
  type InterfaceId,
  type Listener,
  type ListenerRef,
  type ListeningEnd,
  NO_SOCKET,
} from "@demiflow/core"
import type { Claims } from "./claims.ts"
import type { GuardedHandlers } from "./guarded-handlers.ts"
import type { Registered } from "./registered.ts"

interface Listening {
  readonly listener: Listener
  readonly registered: Registered
}

/** The listeners of a stack, by number. */
export class StackListeners {
  readonly #guarded: GuardedHandlers
  readonly #claims: Claims
  readonly #listeners: (Listening | undefined)[] = []
  readonly #free: ListenerRef[] = []

  constructor(guarded: GuardedHandlers, claims: Claims) {
    this.#guarded = guarded
    this.#claims = claims
  }

  /** As `Listeners.listen` of core. */
  listen(
    protocol: number,
    end: ListeningEnd,
    targetAddress: Readonly<Address> | undefined,
    targetPort: number,
    place: InterfaceId,
  ): ListenerRef {
    const registered = this.#claims.ofProtocol(protocol).find(({ handler }) => handler.listen !== undefined)
    if (registered === undefined) return -Errno.EPROTONOSUPPORT as ListenerRef
    const ref = (this.#free.pop() ?? this.#listeners.push(undefined) - 1) as ListenerRef
    const listener = { ref, protocol, interface: place, end, targetAddress, targetPort, socket: NO_SOCKET }
    const result = this.#listenAt(registered, listener)
    if (result < 0) {
      this.#free.push(ref)
      return result as ListenerRef
    }
    this.#listeners[ref] = { listener, registered }
    return ref
  }

  /** As `Listeners.unlisten` of core. */
  unlisten(ref: ListenerRef): void {
    const listening = this.#listeners[ref]
    if (listening === undefined) return
    this.#listeners[ref] = undefined
    this.#free.push(ref)
    const { listener, registered } = listening
    this.#guarded.call(registered, () => registered.handler.unlisten?.(listener))
  }

  /** As `Listeners.portsInUse` of core. */
  portsInUse(protocol: number, place: InterfaceId): number[] {
    const numbers: number[] = []
    for (const registered of this.#claims.ofProtocol(protocol)) {
      this.#guarded.call(registered, () => {
        for (const number of registered.handler.portsInUse?.(place) ?? []) numbers.push(number)
      })
    }
    return numbers
  }

  /** Stops listening at all ports. */
  close(): void {
    for (let ref = 0; ref < this.#listeners.length; ref++) this.unlisten(ref as ListenerRef)
  }

  /** Hands an event of a listening socket to its handler. Events for listeners that are gone are ignored. */
  deliver(ref: ListenerRef, events: number): void {
    const listening = this.#listeners[ref]
    if (listening === undefined) return
    const { listener, registered } = listening
    this.#guarded.running = registered.number
    try {
      registered.handler.fromListener?.(listener, events)
    } catch (error) {
      this.#guarded.failed(error)
    }
  }

  #listenAt(registered: Registered, listener: Listener): number {
    let result: number = -Errno.EIO
    this.#guarded.call(registered, () => {
      result = registered.handler.listen?.(listener) ?? 0
    })
    return result
  }
}
