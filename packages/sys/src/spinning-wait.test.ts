import { beforeEach, describe, expect, it } from "vitest"
import { SpinningWait, type WaitCalls } from "./spinning-wait.ts"

const FOREVER = -1

/** A kernel whose next event occurs at a given time. Calls take a microsecond, waking up thirty. */
class FakeKernel implements WaitCalls {
  now = 0
  eventAt = Number.POSITIVE_INFINITY
  sleeps = 0
  yields = 0
  /** How long other processes keep the processor after a yield. */
  yieldTakes = 0

  monotonicWord(): number {
    return this.now | 0
  }

  yieldProcessor(): number {
    this.yields++
    this.now += this.yieldTakes
    return 0
  }

  epollWaitMicroseconds(_epoll: number, _offset: number, _maximum: number, timeout: number): number {
    this.now++
    if (this.eventAt > this.now && timeout !== 0) {
      this.sleeps++
      const end = timeout < 0 ? Number.POSITIVE_INFINITY : this.now + timeout
      this.now = Math.min(this.eventAt + 30, end)
    }
    if (this.eventAt > this.now) return 0
    this.eventAt = Number.POSITIVE_INFINITY
    return 1
  }
}

let kernel: FakeKernel
let wait: SpinningWait

/** Waits for an event that occurs after this many microseconds. Returns whether the wait blocked. */
function sleepsFor(microseconds: number): boolean {
  const before = kernel.sleeps
  kernel.eventAt = kernel.now + microseconds
  expect(wait.wait(FOREVER)).toBe(1)
  return kernel.sleeps > before
}

beforeEach(() => {
  kernel = new FakeKernel()
  wait = new SpinningWait(kernel, 3, 64, 256)
})

describe("waiting for events", () => {
  it("takes what is there without a second call", () => {
    expect(sleepsFor(0)).toBe(false)
    expect(kernel.now).toBe(1)
  })

  it("blocks at once when nothing shows that spinning pays off", () => {
    for (let count = 0; count < 3; count++) expect(sleepsFor(1000)).toBe(true)
    expect(kernel.yields).toBe(0)
  })

  it("spins after a short sleep, and yields to others meanwhile", () => {
    expect(sleepsFor(20)).toBe(true)
    expect(sleepsFor(20)).toBe(false)
    expect(kernel.yields).toBeGreaterThan(0)
  })

  it("stops spinning when that is in vain", () => {
    for (let count = 0; count < 100; count++) sleepsFor(20)
    for (let count = 0; count < 8; count++) {
      const before = kernel.yields
      expect(sleepsFor(1000)).toBe(true)
      expect(kernel.yields).toBeGreaterThan(before)
    }
    kernel.yields = 0
    expect(sleepsFor(1000)).toBe(true)
    expect(kernel.yields).toBe(0)
  })

  it("is not late because of spinning", () => {
    for (let count = 0; count < 10; count++) sleepsFor(20)
    const before = kernel.now
    expect(wait.wait(100)).toBe(0)
    expect(kernel.now - before).toBeLessThanOrEqual(104)
    const { yields } = kernel
    expect(wait.wait(30)).toBe(0)
    expect(kernel.yields).toBe(yields)
  })

  it("is late by no more than others kept the processor", () => {
    for (let count = 0; count < 10; count++) sleepsFor(20)
    kernel.yieldTakes = 5000
    let before = kernel.now
    expect(wait.wait(20_000)).toBe(0)
    expect(kernel.now - before).toBeLessThanOrEqual(20_004)
    before = kernel.now
    expect(wait.wait(1000)).toBe(0)
    expect(kernel.now - before).toBeLessThanOrEqual(1004)
  })

  it("doesn't spin for a long while once somebody else kept the processor", () => {
    for (let count = 0; count < 100; count++) sleepsFor(20)
    kernel.yieldTakes = 4000
    expect(sleepsFor(20)).toBe(false)
    kernel.yields = 0
    for (let count = 0; count < 200; count++) expect(sleepsFor(20)).toBe(true)
    expect(kernel.yields).toBe(0)
    kernel.yieldTakes = 0
    for (let count = 0; count < 200; count++) sleepsFor(20)
    expect(sleepsFor(20)).toBe(false)
  })

  it("polls once when there is no time to wait", () => {
    expect(wait.wait(0)).toBe(0)
    expect([kernel.now, kernel.sleeps]).toEqual([1, 0])
  })

  it("hands on what the kernel refuses", () => {
    kernel.epollWaitMicroseconds = () => -9
    expect(wait.wait(FOREVER)).toBe(-9)
  })
})
