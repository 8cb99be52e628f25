/** A connection, without what it runs on: no arena, no sockets. Times are clock milliseconds; -1 is none. */
import type { CongestionControl } from "./congestion-control.ts"
import {
  FromHost,
  type FromHostId,
  type HostEventId,
  hostEffectsOf,
  nextFromHost,
  nextToHost,
  ToHostState,
  type ToHostStateId,
  toHostTransition,
} from "./host-side.ts"
import { NewReno } from "./new-reno.ts"
import { Receiver } from "./receiver.ts"
import { Sender } from "./sender.ts"
import { type EventId, effectsOf, ILLEGAL, nextState, State, type StateId, stateName, transition } from "./state.ts"

const newReno = (): CongestionControl => new NewReno()

export class Connection {
  /** The state of our end of the connection with the guest. */
  state: StateId = State.closed
  readonly sender: Sender
  readonly receiver: Receiver = new Receiver()
  /** The state of the host's side, for each direction. */
  fromHost: FromHostId = FromHost.quiet
  toHost: ToHostStateId = ToHostState.open
  /** When the last segment of the guest arrived; in `timeWait`, when the host last took some of the held payload. */
  lastFromGuest = 0
  /** Keep-alive probes sent to the guest since then. */
  keepAliveProbes = 0
  /** When the stay in `timeWait` ends. */
  lingerUntil = -1

  /** @param createCongestion creates the congestion control of a connection that has lost something */
  constructor(createCongestion: () => CongestionControl = newReno) {
    this.sender = new Sender(createCongestion)
  }

  /** Resets a pooled object for a new connection. The caller sets the numbers that come with the SYN. */
  reset(): void {
    this.state = State.closed
    this.sender.reset()
    this.receiver.reset()
    this.fromHost = FromHost.quiet
    this.toHost = ToHostState.open
    this.keepAliveProbes = 0
    this.lingerUntil = -1
  }

  /** Applies an event to the state. Returns the effects. */
  transit(event: EventId): number {
    const result = transition(this.state, event)
    if (result === ILLEGAL) throw new IllegalTransitionError(stateName(this.state), event)
    this.state = nextState(result)
    return effectsOf(result)
  }

  /** Applies an event of reading from the host. */
  readHost(event: HostEventId): void {
    const next = nextFromHost(this.fromHost, event)
    if (next === ILLEGAL) throw new IllegalTransitionError(`reading ${this.fromHost}`, event)
    this.fromHost = next
  }

  /** Applies an event of writing to the host. Returns the effects. */
  writeHost(event: HostEventId): number {
    const result = toHostTransition(this.toHost, event)
    if (result === ILLEGAL) throw new IllegalTransitionError(`writing ${this.toHost}`, event)
    this.toHost = nextToHost(result)
    return hostEffectsOf(result)
  }

  /** Notes a valid segment: the guest is alive. In `timeWait`, `lastFromGuest` has another meaning. */
  heard(now: number): void {
    if (this.state === State.timeWait) return
    this.lastFromGuest = now
    this.keepAliveProbes = 0
  }
}

/** Thrown if our own code applies an event that a state of the guest's or the host's side doesn't allow. */
export class IllegalTransitionError extends Error {
  readonly code = "ERR_TCP_ILLEGAL_TRANSITION"

  constructor(state: string, event: number) {
    super(`TCP event ${event} is not possible in state ${state}`)
    this.name = "IllegalTransitionError"
  }
}
