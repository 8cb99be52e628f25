import { describe, expect, it } from "vitest"
import { NeverQuietError, type Participant, VirtualClock } from "./virtual-clock.ts"

describe("VirtualClock", () => {
  it("runs what is due, in order of time and then of scheduling", () => {
    const clock = new VirtualClock(0)
    const seen: string[] = []
    clock.schedule(20, () => seen.push(`late at ${clock.now}`))
    clock.schedule(10, () => seen.push(`first at ${clock.now}`))
    clock.schedule(10, () => seen.push(`second at ${clock.now}`))
    clock.schedule(0.5, () => seen.push(`rounded at ${clock.now}`))
    clock.advance(15)
    expect(seen).toEqual(["rounded at 1", "first at 10", "second at 10"])
    expect([clock.now, clock.pending]).toEqual([15, 1])
    clock.advance(5)
    expect(seen.at(-1)).toBe("late at 20")
  })

  it("keeps its order among a thousand timers", () => {
    const clock = new VirtualClock(0)
    const seen: number[] = []
    for (let index = 0; index < 1_000; index++) {
      const delay = (index * 7_919) % 1_000
      clock.schedule(delay, () => seen.push(delay))
    }
    clock.advance(1_000)
    expect(seen).toEqual(Array.from({ length: 1_000 }, (_, index) => index))
  })

  it("takes timers back", () => {
    const clock = new VirtualClock()
    const timers = [10, 20, 30].map((delay) => clock.schedule(delay, () => expect(delay).not.toBe(20)))
    timers[1].cancel()
    timers[1].cancel()
    expect(clock.pending).toBe(2)
    clock.advance(100)
    timers[0].cancel()
    expect([clock.pending, clock.nextDeadline()]).toEqual([0, Number.POSITIVE_INFINITY])
  })

  it("gives participants their turns until none has anything to do", () => {
    const clock = new VirtualClock()
    let work = 5
    const turns: string[] = []
    const participant = (name: string): Participant => ({
      turn() {
        if (work === 0) return false
        turns.push(name)
        work--
        return true
      },
    })
    clock.attach(participant("a"))
    const letGo = clock.attach(participant("b"))
    clock.settle()
    expect(turns).toEqual(["a", "b", "a", "b", "a"])
    letGo()
    work = 2
    clock.settle()
    expect(turns.slice(5)).toEqual(["a", "a"])
  })

  it("stops at the deadlines of participants, and goes on if there was nothing to do", () => {
    const clock = new VirtualClock(0)
    const seen: number[] = []
    clock.attach({
      turn: () => {
        seen.push(clock.now)
        return false
      },
      nextDeadline: () => 5,
    })
    clock.advance(8)
    expect(seen).toContain(5)
    expect(clock.now).toBe(8)
  })

  it("waits for a condition, up to a limit", () => {
    const clock = new VirtualClock(0)
    let isDone = false
    clock.schedule(40, () => {
      isDone = true
    })
    clock.schedule(1_000, () => {})
    expect(clock.runUntil(() => isDone, 30)).toBe(false)
    expect(clock.now).toBe(30)
    expect(clock.runUntil(() => isDone, 30)).toBe(true)
    expect(clock.now).toBe(40)
    // No waiting callback can fulfil the condition: the clock need not pass an hour.
    expect(clock.runUntil(() => false, 3_600_000)).toBe(false)
    expect(clock.now).toBe(1_000)
  })

  it("runs what is scheduled for now, though not inside the call", () => {
    const clock = new VirtualClock()
    const seen: string[] = []
    clock.schedule(0, () => {
      clock.schedule(0, () => seen.push("inner"))
      seen.push("outer")
    })
    expect(seen).toEqual([])
    clock.settle()
    expect(seen).toEqual(["outer", "inner"])
  })

  it("says so when work never ends", () => {
    const clock = new VirtualClock()
    clock.attach({ turn: () => true })
    expect(() => clock.settle()).toThrow(NeverQuietError)
  })
})
