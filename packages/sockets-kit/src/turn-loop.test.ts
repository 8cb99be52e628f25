import type { Driven } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { TurnLoop } from "./turn-loop.ts"

/** Counts its turns, and wants the next one when the test says. */
class Counting implements Driven {
  turns = 0
  deadline = Number.POSITIVE_INFINITY
  onTurn: () => void = () => {}

  nextDeadline(): number {
    return this.deadline
  }

  turn(): void {
    this.turns++
    this.onTurn()
  }
}

const immediate = () => new Promise<void>((resolve) => setImmediate(resolve))

describe("a loop", () => {
  test("gives a turn to what is attached, and to all others, when it is woken", async () => {
    const loop = new TurnLoop()
    const [one, other] = [new Counting(), new Counting()]
    loop.attach(one)
    loop.attach(other)
    await immediate()
    expect([one.turns, other.turns]).toEqual([1, 1])
    await immediate()
    expect([one.turns, other.turns]).toEqual([1, 1])
    loop.wake()
    loop.wake()
    await immediate()
    expect([one.turns, other.turns]).toEqual([2, 2])
    loop.detach(one)
    loop.wake()
    await immediate()
    expect([one.turns, other.turns]).toEqual([2, 3])
  })

  test("delivers events before the turns, in the same round", async () => {
    const loop = new TurnLoop()
    const order: string[] = []
    const driven = new Counting()
    driven.onTurn = () => order.push("turn")
    const deliver = () => order.push("events")
    loop.addSource(deliver)
    loop.attach(driven)
    await immediate()
    expect(order).toEqual(["events", "turn"])
    loop.removeSource(deliver)
    loop.wake()
    await immediate()
    expect(order).toEqual(["events", "turn", "turn"])
  })

  test("gives a turn at a deadline", async () => {
    const loop = new TurnLoop()
    const driven = new Counting()
    loop.attach(driven)
    loop.hold()
    await immediate()
    driven.deadline = loop.clock.now + 5
    loop.wake()
    await new Promise<void>((resolve) => {
      driven.onTurn = () => {
        if (loop.clock.now >= driven.deadline) {
          driven.deadline = Number.POSITIVE_INFINITY
          resolve()
        }
      }
    })
    loop.release()
    loop.detach(driven)
  })

  test("lets everybody else run between two turns, however much is left to be done", async () => {
    const loop = new TurnLoop()
    const driven = new Counting()
    driven.deadline = Number.NEGATIVE_INFINITY
    loop.attach(driven)
    // A timer, a promise and an immediate of somebody else.
    await new Promise((resolve) => setTimeout(resolve, 2))
    await Promise.resolve()
    await immediate()
    expect(driven.turns).toBeGreaterThan(0)
    driven.deadline = Number.POSITIVE_INFINITY
    loop.detach(driven)
  })

  test("takes messages to itself where there are no immediates, as in a page", async () => {
    const { setImmediate } = globalThis
    Object.assign(globalThis, { setImmediate: undefined })
    try {
      const loop = new TurnLoop()
      const driven = new Counting()
      const turn = () => new Promise<void>((resolve) => Object.assign(driven, { onTurn: resolve }))
      const first = turn()
      loop.attach(driven)
      await first
      const second = turn()
      loop.wake()
      loop.wake()
      await second
      expect(driven.turns).toBe(2)
      loop.detach(driven)
    } finally {
      Object.assign(globalThis, { setImmediate })
    }
  })

  test("watches no descriptors", () => {
    const expected = expect.objectContaining({ code: "ERR_DESCRIPTOR_UNSUPPORTED" })
    expect(() => new TurnLoop().watchReadable()).toThrow(expected)
  })

  test("keeps the process alive for a deadline only while it is held", async () => {
    const timers: NodeJS.Timeout[] = []
    const original = globalThis.setTimeout
    const record = (callback: () => void, wait?: number) => {
      const timer = original(callback, wait)
      timers.push(timer)
      return timer
    }
    globalThis.setTimeout = Object.assign(record, original) as typeof setTimeout
    try {
      const loop = new TurnLoop()
      const driven = new Counting()
      driven.deadline = loop.clock.now + 60_000
      loop.attach(driven)
      await immediate()
      expect(timers.map((timer) => timer.hasRef())).toEqual([false])
      loop.hold()
      loop.hold()
      expect(timers[0].hasRef()).toBe(true)
      loop.release()
      expect(timers[0].hasRef()).toBe(true)
      loop.release()
      expect(timers[0].hasRef()).toBe(false)
      loop.detach(driven)
    } finally {
      globalThis.setTimeout = original
    }
  })
})
