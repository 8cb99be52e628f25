import { describe, expect, it } from "vitest"
import {
  acceptsFromGuest,
  awaitsFinAcknowledgement,
  Effect,
  Event,
  type EventId,
  effectsOf,
  ILLEGAL,
  isHandshaking,
  nextState,
  State,
  type StateId,
  sendsToGuest,
  stateName,
  transition,
} from "./state.ts"

/** The allowed transitions, written down a second time from RFC 9293, figure 5. All others must be illegal. */
const allowed: Record<string, Partial<Record<keyof typeof Event, keyof typeof State>>> = {
  connecting: { hostConnected: "synReceived", abort: "closed" },
  synSent: { synAcknowledged: "established", synFromGuest: "synReceived", abort: "closed" },
  synReceived: { synAcknowledged: "established", abort: "closed" },
  established: { finFromGuest: "closeWait", finToGuest: "finWait1", abort: "closed" },
  closeWait: { finToGuest: "lastAck", abort: "closed" },
  finWait1: { finAcknowledged: "finWait2", finFromGuest: "closing", abort: "closed" },
  finWait2: { finFromGuest: "timeWait", abort: "closed" },
  closing: { finAcknowledged: "timeWait", abort: "closed" },
  lastAck: { finAcknowledged: "closed", abort: "closed" },
  timeWait: { lingered: "closed", abort: "closed" },
}

const states = Object.entries(State) as [keyof typeof State, StateId][]
const events = Object.entries(Event) as [keyof typeof Event, EventId][]
const pairs = states.flatMap(([state]) => events.map(([event]) => [state, event] as const))

describe("the state machine", () => {
  it.each(pairs)("%s, %s", (state, event) => {
    const expected = allowed[state]?.[event]
    const result = transition(State[state], Event[event])
    if (expected === undefined) expect(result).toBe(ILLEGAL)
    else expect(stateName(nextState(result))).toBe(expected)
  })

  it("shuts the host's side down on the guest's FIN, whichever state it comes in", () => {
    for (const state of [State.established, State.finWait1, State.finWait2]) {
      expect(effectsOf(transition(state, Event.finFromGuest)) & Effect.shutdownHost).toBe(Effect.shutdownHost)
    }
  })

  it("releases the flow exactly where it is closed", () => {
    for (const [state, event] of pairs) {
      const result = transition(State[state], Event[event])
      if (result === ILLEGAL) continue
      const isClosed = nextState(result) === State.closed
      expect((effectsOf(result) & Effect.release) !== 0, `${state} ${event}`).toBe(isClosed)
    }
  })

  it("says in which states what is sent", () => {
    const named = (test: (state: StateId) => boolean) => states.filter(([, id]) => test(id)).map(([name]) => name)
    expect(named(acceptsFromGuest)).toEqual(["established", "finWait1", "finWait2"])
    expect(named(sendsToGuest)).toEqual(["established", "closeWait"])
    expect(named(isHandshaking)).toEqual(["synSent", "synReceived"])
    expect(named(awaitsFinAcknowledgement)).toEqual(["finWait1", "closing", "lastAck"])
  })
})
