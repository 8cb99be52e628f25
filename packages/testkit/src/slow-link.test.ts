import { Arena, FrameBatch } from "@demiflow/core"
import { memoryLinkPair } from "@demiflow/tap"
import { describe, expect, it } from "vitest"
import { LinkEnd } from "./link-end.ts"
import { SlowLink, type SlowLinkOptions } from "./slow-link.ts"
import { VirtualClock } from "./virtual-clock.ts"

function bench(options: Partial<SlowLinkOptions> = {}) {
  const clock = new VirtualClock()
  const arena = new Arena(8 << 20)
  const [near, far] = memoryLinkPair(arena, arena)
  const link = new SlowLink(near, clock, { bytes: 1_000, interval: 10, ...options })
  const guest = new LinkEnd(far)
  const region = arena.reserve(1 << 20)
  const batch = new FrameBatch(64)
  let resumed = 0
  link.onResume = () => resumed++
  return {
    clock,
    link,
    guest,
    get resumed() {
      return resumed
    },
    /** Sends frames of these lengths at once. Returns the number that was taken. */
    send(...lengths: number[]): number {
      for (const [index, length] of lengths.entries()) batch.setPlain(index, region + index * 2_000, length)
      return link.send(batch, 0, lengths.length)
    },
    /** Lengths of the frames that have arrived. */
    arrived: () => guest.receive().map(({ bytes }) => bytes.length),
  }
}

describe("a slow link", () => {
  it("passes what the other end takes at a time, and the rest when it takes more", () => {
    const both = bench()
    expect(both.send(400, 500, 300, 600, 700)).toBe(5)
    expect(both.arrived()).toEqual([400, 500])
    expect(both.link.isCongested).toBe(true)
    both.clock.advance(9)
    expect(both.arrived()).toEqual([])
    both.clock.advance(1)
    expect(both.arrived()).toEqual([300, 600])
    expect([both.link.isCongested, both.resumed]).toEqual([true, 0])
    both.clock.advance(10)
    expect(both.arrived()).toEqual([700])
    expect([both.link.isCongested, both.resumed]).toEqual([false, 1])
  })

  it("is as it was once the other end had time", () => {
    const both = bench()
    both.send(900)
    both.clock.advance(10)
    both.send(900)
    expect(both.arrived()).toEqual([900, 900])
    expect([both.link.isCongested, both.resumed]).toEqual([false, 0])
  })

  it("passes a frame that is larger than all that is taken at a time, on its own", () => {
    const both = bench({ bytes: 100 })
    both.send(1_500, 60)
    expect(both.arrived()).toEqual([1_500])
    both.clock.advance(10)
    expect(both.arrived()).toEqual([60])
  })

  it("keeps what is small in order behind what waits", () => {
    const both = bench()
    both.send(900, 900)
    both.send(60)
    expect(both.arrived()).toEqual([900])
    both.clock.advance(10)
    expect(both.arrived()).toEqual([900, 60])
  })

  it("takes no more than it has room for", () => {
    const both = bench({ queueBytes: 2_000, interval: Number.POSITIVE_INFINITY })
    both.send(1_000)
    expect(both.send(900, 900, 900)).toBe(2)
    expect([both.link.refused, both.link.mostWaiting]).toEqual([1, 1_800])
    both.clock.advance(1_000)
    expect(both.arrived()).toEqual([1_000])
    both.link.take()
    both.link.take()
    expect(both.arrived()).toEqual([900, 900])
    expect(both.resumed).toBe(1)
  })
})
