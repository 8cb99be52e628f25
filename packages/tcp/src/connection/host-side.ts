/**
 * The host's side of a connection: (state, event) → (state, effects), a table for each direction of the host's socket.
 *
 * What the kernel reports about a socket are edges: an event says that something has changed, and nothing repeats it.
 * So the states say what is left to be done. An event that a state does not allow gives {@link ILLEGAL}: a mistake in
 * our own code, never something that a packet or the host can cause.
 */

import { ILLEGAL } from "./state.ts"

/** What may be left to be read from the host's socket. */
export const FromHost = {
  /** Nothing: an event reports when more has arrived. */
  quiet: 0,
  /** Payload, as far as we know. */
  readable: 1,
  /**
   * Payload marked as urgent: a read ends at the mark, so that a short read doesn't mean that there is no more, and no
   * event follows. From then on we always read until nothing comes.
   */
  urgent: 2,
  /** The end, with payload perhaps left before it. The end has brought its event already. */
  ending: 3,
  /** Nothing: the end was read, and our FIN is sent. Payload is still read to be sent again. */
  ended: 4,
} as const
export type FromHostId = (typeof FromHost)[keyof typeof FromHost]

/** What may still be done with the writing half of the host's socket. */
export const ToHostState = {
  open: 0,
  /** The host has no room, for a reason whose end no event reports: we have to try again. */
  stalled: 1,
  /** The guest has ended: the half is shut once everything before that is handed over. */
  ending: 2,
  /** As `ending` and `stalled`. */
  endingStalled: 3,
  shut: 4,
} as const
export type ToHostStateId = (typeof ToHostState)[keyof typeof ToHostState]

export const HostEvent = {
  // Of reading.
  /** The kernel reports payload, or anything else that a read finds out. */
  arrived: 0,
  /** The kernel reports payload that is marked as urgent. */
  marked: 1,
  /** The kernel reports that the correspondent has ended. */
  ended: 2,
  /** A read gave all that was asked for: there may be more. */
  full: 3,
  /** A read gave less than was asked for. */
  short: 4,
  /** A read gave nothing. */
  empty: 5,
  /** A read found the end. */
  end: 6,
  /** Our FIN, which follows the end, is sent. */
  finSent: 7,
  /** Payload is left unread, for lack of room or time. */
  postponed: 8,

  // Of writing.
  /** The guest's FIN was accepted. */
  finFromGuest: 9,
  /** Nothing is left to be handed over. */
  delivered: 10,
  /** The host has no room, and won't report when it has. */
  stalled: 11,
  /** We try again after that. */
  retried: 12,
} as const
export type HostEventId = (typeof HostEvent)[keyof typeof HostEvent]

/** Effects of a transition. */
export const HostEffect = {
  /** Shut the writing half of the socket down. */
  shutdownWrite: 1,
} as const

const EVENTS = 13
const reading = new Int8Array(5 * EVENTS).fill(ILLEGAL)
const writing = new Int8Array(5 * EVENTS).fill(ILLEGAL)
const EFFECT_SHIFT = 4
const STATE_MASK = 15

function read(state: FromHostId, event: HostEventId, next: FromHostId): void {
  reading[state * EVENTS + event] = next
}

function write(state: ToHostStateId, event: HostEventId, next: ToHostStateId, effects = 0): void {
  writing[state * EVENTS + event] = next | (effects << EFFECT_SHIFT)
}

read(FromHost.quiet, HostEvent.arrived, FromHost.readable)
read(FromHost.quiet, HostEvent.marked, FromHost.urgent)
read(FromHost.quiet, HostEvent.ended, FromHost.ending)
read(FromHost.quiet, HostEvent.full, FromHost.readable)
read(FromHost.quiet, HostEvent.short, FromHost.quiet)
read(FromHost.quiet, HostEvent.empty, FromHost.quiet)
read(FromHost.quiet, HostEvent.end, FromHost.ending)
read(FromHost.quiet, HostEvent.postponed, FromHost.readable)

read(FromHost.readable, HostEvent.arrived, FromHost.readable)
read(FromHost.readable, HostEvent.marked, FromHost.urgent)
read(FromHost.readable, HostEvent.ended, FromHost.ending)
read(FromHost.readable, HostEvent.full, FromHost.readable)
read(FromHost.readable, HostEvent.short, FromHost.quiet)
read(FromHost.readable, HostEvent.empty, FromHost.quiet)
read(FromHost.readable, HostEvent.end, FromHost.ending)
read(FromHost.readable, HostEvent.postponed, FromHost.readable)

for (const event of [HostEvent.arrived, HostEvent.marked, HostEvent.full, HostEvent.short, HostEvent.empty] as const) {
  read(FromHost.urgent, event, FromHost.urgent)
  read(FromHost.ending, event, FromHost.ending)
  read(FromHost.ended, event, FromHost.ended)
}
read(FromHost.urgent, HostEvent.ended, FromHost.ending)
read(FromHost.urgent, HostEvent.end, FromHost.ending)
read(FromHost.urgent, HostEvent.postponed, FromHost.urgent)

read(FromHost.ending, HostEvent.ended, FromHost.ending)
read(FromHost.ending, HostEvent.end, FromHost.ending)
read(FromHost.ending, HostEvent.postponed, FromHost.ending)
read(FromHost.ending, HostEvent.finSent, FromHost.ended)

// Payload and the FIN are sent again.
read(FromHost.ended, HostEvent.ended, FromHost.ended)
read(FromHost.ended, HostEvent.end, FromHost.ended)
read(FromHost.ended, HostEvent.postponed, FromHost.ended)
read(FromHost.ended, HostEvent.finSent, FromHost.ended)

write(ToHostState.open, HostEvent.delivered, ToHostState.open)
write(ToHostState.open, HostEvent.stalled, ToHostState.stalled)
write(ToHostState.open, HostEvent.finFromGuest, ToHostState.ending)

write(ToHostState.stalled, HostEvent.delivered, ToHostState.open)
write(ToHostState.stalled, HostEvent.stalled, ToHostState.stalled)
write(ToHostState.stalled, HostEvent.retried, ToHostState.open)
write(ToHostState.stalled, HostEvent.finFromGuest, ToHostState.endingStalled)

write(ToHostState.ending, HostEvent.delivered, ToHostState.shut, HostEffect.shutdownWrite)
write(ToHostState.ending, HostEvent.stalled, ToHostState.endingStalled)

write(ToHostState.endingStalled, HostEvent.delivered, ToHostState.shut, HostEffect.shutdownWrite)
write(ToHostState.endingStalled, HostEvent.stalled, ToHostState.endingStalled)
write(ToHostState.endingStalled, HostEvent.retried, ToHostState.ending)

write(ToHostState.shut, HostEvent.delivered, ToHostState.shut)

/** Returns the next state of reading, or {@link ILLEGAL}. Reading has no effects. */
export function nextFromHost(state: FromHostId, event: HostEventId): FromHostId | typeof ILLEGAL {
  return reading[state * EVENTS + event] as FromHostId | typeof ILLEGAL
}

/** Returns the transition of writing, for {@link nextToHost} and {@link hostEffectsOf}; or {@link ILLEGAL}. */
export function toHostTransition(state: ToHostStateId, event: HostEventId): number {
  return writing[state * EVENTS + event]
}

/** Returns the state in a transition. */
export function nextToHost(transition: number): ToHostStateId {
  return (transition & STATE_MASK) as ToHostStateId
}

/** Returns the effects in a transition. */
export function hostEffectsOf(transition: number): number {
  return transition >> EFFECT_SHIFT
}

/** True if a read may find something that was never sent. */
export function isReadable(state: FromHostId): boolean {
  return state >= FromHost.readable && state <= FromHost.ending
}

/** True if the host has to be tried again. */
export function isStalled(state: ToHostStateId): boolean {
  return state === ToHostState.stalled || state === ToHostState.endingStalled
}

/** True once the guest has ended. */
export function isEnding(state: ToHostStateId): boolean {
  return state >= ToHostState.ending
}
