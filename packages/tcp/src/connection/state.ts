/**
 * The state machine: (state, event) → (state, effects), in one place.
 *
 * States are those of RFC 9293, section 3.3.2, of our own end of the connection with the guest. Two states come first:
 * `connecting` if the guest begins (its SYN has come, and the host's connect is in progress), `synSent` if a
 * correspondent of the host begins (the host's socket is accepted, and our SYN to the guest is sent). An event that a
 * state does not allow gives {@link ILLEGAL}: a mistake in our own code, never something that a packet can cause.
 */
export const State = {
  closed: 0,
  connecting: 1,
  /** Our SYN is sent, and nothing has come from the guest. */
  synSent: 2,
  synReceived: 3,
  established: 4,
  /** The guest has sent its FIN. */
  closeWait: 5,
  /** We have sent our FIN. */
  finWait1: 6,
  /** Our FIN is acknowledged. */
  finWait2: 7,
  /** Both have sent a FIN; ours is not acknowledged yet. */
  closing: 8,
  /** As `closing`, but the guest's FIN came first. */
  lastAck: 9,
  /** Both directions are done; we linger to acknowledge a retransmitted FIN. */
  timeWait: 10,
} as const
export type StateId = (typeof State)[keyof typeof State]

export const Event = {
  /** The host's socket is connected. */
  hostConnected: 0,
  /** The guest acknowledged our SYN, having sent its own before or with that. */
  synAcknowledged: 1,
  /** The guest's FIN arrived, in order. */
  finFromGuest: 2,
  /** The host's correspondent has ended; all its data and our FIN were sent to the guest. */
  finToGuest: 3,
  /** The guest acknowledged our FIN. */
  finAcknowledged: 4,
  /** A reset in either direction, or a time limit. */
  abort: 5,
  /** The stay in `timeWait` is over. */
  lingered: 6,
  /** The guest's SYN crossed ours on its way. */
  synFromGuest: 7,
} as const
export type EventId = (typeof Event)[keyof typeof Event]

/** Effects of a transition. */
export const Effect = {
  sendSynAck: 1,
  /** Shut down the host's socket for writing, once everything before is handed over. */
  shutdownHost: 2,
  /** Close the host's socket, once everything is handed over, and stay for a while. */
  linger: 4,
  /** Release the flow, once everything is handed over. */
  release: 8,
} as const

/** Result of an event that the state does not allow. */
export const ILLEGAL = -1

const STATES = 11
const EVENTS = 8

const transitions = new Int16Array(STATES * EVENTS).fill(ILLEGAL)

function allow(state: StateId, event: EventId, next: StateId, effects = 0): void {
  transitions[state * EVENTS + event] = next | (effects << 8)
}

allow(State.connecting, Event.hostConnected, State.synReceived, Effect.sendSynAck)
allow(State.synSent, Event.synAcknowledged, State.established)
allow(State.synSent, Event.synFromGuest, State.synReceived, Effect.sendSynAck)
allow(State.synReceived, Event.synAcknowledged, State.established)
allow(State.established, Event.finFromGuest, State.closeWait, Effect.shutdownHost)
allow(State.established, Event.finToGuest, State.finWait1)
allow(State.closeWait, Event.finToGuest, State.lastAck)
allow(State.finWait1, Event.finAcknowledged, State.finWait2)
allow(State.finWait1, Event.finFromGuest, State.closing, Effect.shutdownHost)
allow(State.finWait2, Event.finFromGuest, State.timeWait, Effect.shutdownHost | Effect.linger)
allow(State.closing, Event.finAcknowledged, State.timeWait, Effect.linger)
allow(State.lastAck, Event.finAcknowledged, State.closed, Effect.release)
allow(State.timeWait, Event.lingered, State.closed, Effect.release)
for (let state = State.connecting as number; state < STATES; state++) {
  allow(state as StateId, Event.abort, State.closed, Effect.release)
}

/** Returns the transition: next state in the low byte, {@link Effect} bits above it; or {@link ILLEGAL}. */
export function transition(state: StateId, event: EventId): number {
  return transitions[state * EVENTS + event]
}

/** Returns the state in a transition. */
export function nextState(result: number): StateId {
  return (result & 0xff) as StateId
}

/** Returns the effects in a transition. */
export function effectsOf(result: number): number {
  return result >> 8
}

/** True where the guest may still send payload that we accept. */
export function acceptsFromGuest(state: StateId): boolean {
  return state === State.established || state === State.finWait1 || state === State.finWait2
}

/** True where payload from the host may be sent to the guest. */
export function sendsToGuest(state: StateId): boolean {
  return state === State.established || state === State.closeWait
}

/** True where the handshake isn't finished. */
export function isBeginning(state: StateId): boolean {
  return state === State.connecting || isHandshaking(state)
}

/** True where we have sent a SYN that is not acknowledged. */
export function isHandshaking(state: StateId): boolean {
  return state === State.synSent || state === State.synReceived
}

/** True where our FIN was sent and is not acknowledged. */
export function awaitsFinAcknowledgement(state: StateId): boolean {
  return state === State.finWait1 || state === State.closing || state === State.lastAck
}

const STATE_NAMES = Object.keys(State)

/** Returns a state's name for logs. */
export function stateName(state: StateId): string {
  return STATE_NAMES[state]
}
