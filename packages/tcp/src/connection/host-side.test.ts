import { describe, expect, test } from "vitest"
import { Connection, IllegalTransitionError } from "./connection.ts"
import {
  FromHost,
  type FromHostId,
  HostEffect,
  HostEvent,
  type HostEventId,
  hostEffectsOf,
  isEnding,
  isReadable,
  isStalled,
  nextFromHost,
  nextToHost,
  ToHostState,
  type ToHostStateId,
  toHostTransition,
} from "./host-side.ts"
import { ILLEGAL } from "./state.ts"

/** States by name for each event, in the order of the states; "–" where the event is illegal. */
function rows<Id extends number>(
  states: Readonly<Record<string, Id>>,
  next: (state: Id, event: HostEventId) => string | undefined,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(HostEvent).flatMap(([name, event]) => {
      const cells = Object.values(states).map((state) => next(state, event) ?? "–")
      return cells.every((cell) => cell === "–") ? [] : [[name, cells.join(" ")]]
    }),
  )
}

const nameOf = (states: Readonly<Record<string, number>>, state: number) =>
  Object.keys(states).find((name) => states[name] === state)

describe("the table of reading", () => {
  test("allows these transitions, and no other", () => {
    const next = (state: FromHostId, event: HostEventId) => nameOf(FromHost, nextFromHost(state, event))
    expect(Object.keys(FromHost).join(" ")).toBe("quiet readable urgent ending ended")
    expect(rows(FromHost, next)).toEqual({
      arrived: "readable readable urgent ending ended",
      marked: "urgent urgent urgent ending ended",
      ended: "ending ending ending ending ended",
      full: "readable readable urgent ending ended",
      short: "quiet quiet urgent ending ended",
      empty: "quiet quiet urgent ending ended",
      end: "ending ending ending ending ended",
      finSent: "– – – ended ended",
      postponed: "readable readable urgent ending ended",
    })
  })

  test("has something to read in every state but the first and the last", () => {
    expect(Object.values(FromHost).map(isReadable)).toEqual([false, true, true, true, false])
  })
})

describe("the table of writing", () => {
  test("allows these transitions, and no other", () => {
    const next = (state: ToHostStateId, event: HostEventId) => {
      const transition = toHostTransition(state, event)
      if (transition === ILLEGAL) return undefined
      return `${nameOf(ToHostState, nextToHost(transition))}${hostEffectsOf(transition) === 0 ? "" : "!"}`
    }
    expect(Object.keys(ToHostState).join(" ")).toBe("open stalled ending endingStalled shut")
    // "!" is the shutdown of the socket.
    expect(rows(ToHostState, next)).toEqual({
      finFromGuest: "ending endingStalled – – –",
      delivered: "open open shut! shut! shut",
      stalled: "stalled stalled endingStalled endingStalled –",
      retried: "– open – ending –",
    })
  })

  test("distinguishes states that wait, and states after the guest's end", () => {
    expect(Object.values(ToHostState).map(isStalled)).toEqual([false, true, false, true, false])
    expect(Object.values(ToHostState).map(isEnding)).toEqual([false, false, true, true, true])
  })
})

describe("a connection", () => {
  test("shuts the host's socket down once, after everything is delivered", () => {
    const connection = new Connection()
    connection.reset()
    expect(connection.writeHost(HostEvent.finFromGuest)).toBe(0)
    expect(connection.writeHost(HostEvent.delivered)).toBe(HostEffect.shutdownWrite)
    expect(connection.writeHost(HostEvent.delivered)).toBe(0)
  })

  test("throws at an illegal event, and stays as it was", () => {
    const connection = new Connection()
    connection.reset()
    expect(() => connection.readHost(HostEvent.finSent)).toThrow(IllegalTransitionError)
    expect(() => connection.writeHost(HostEvent.retried)).toThrow(IllegalTransitionError)
    expect([connection.fromHost, connection.toHost]).toEqual([FromHost.quiet, ToHostState.open])
  })
})
