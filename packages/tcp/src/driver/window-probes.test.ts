import { check, patternBytes } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { after, type Connected, connected, segments } from "../test-support/bench.ts"

/** A guest whose window is shut while there is payload for it. The function answers frames. */
function shut(answer?: (both: Connected) => void): Connected & { times: number[] } {
  const both = connected()
  const { memory, guest, world } = both
  // A round trip was measured, so that the time-out is 200 ms.
  world.write("x")
  guest.expect(check.payload("x"))
  memory.run(1)
  guest.window = 0
  guest.send("A")
  memory.run()
  const start = memory.clock.now
  const times: number[] = []
  memory.guest.onFrame(({ tcp }) => {
    times.push(memory.clock.now - start)
    // RFC 9293, section 3.8.6.1: an old number, which the guest must answer.
    expect(tcp).toMatchObject({ flags: "A", sequence: after(guest.acknowledgement, -1) })
    answer?.(both)
    return true
  })
  world.write(patternBytes(3_000))
  memory.run()
  return { ...both, times }
}

describe("a window that is shut", () => {
  test("is asked about after the time-out, then less and less often, but once a minute", () => {
    const { memory, times } = shut(({ guest }) => guest.send("A"))
    memory.run(600_000)
    expect(times.slice(0, 10)).toEqual([200, 600, 1_400, 3_000, 6_200, 12_600, 25_400, 51_000, 102_200, 162_200])
    expect(times.at(-1)).toBe(582_200)
  })

  test("is asked about as often as at first once the link is back", () => {
    const { memory, times } = shut(({ guest }) => guest.send("A"))
    memory.run(110_000)
    const before = times.length
    memory.stack.reconnected()
    memory.run(2_000)
    expect(times.slice(before).map((time) => time - 110_000)).toEqual([1, 401, 1_201])
  })

  test("may stay shut for ever while the guest answers (RFC 9293, MUST-37)", () => {
    const { memory, world } = shut(({ guest }) => guest.send("A"))
    memory.run(48 * 3_600_000)
    expect(world.isReset).toBe(false)
    expect(memory.flows.size).toBe(1)
  })

  test("of a guest that answers nothing ends the connection after five minutes", () => {
    const { memory, world } = shut()
    memory.run(280_000)
    expect(world.isReset).toBe(false)
    const { flows } = memory
    // The reset is no probe.
    expect(() => memory.run(120_000)).toThrow()
    expect(flows.size).toBe(0)
  })

  test("that was silent for long before there was something for it is asked before it is given up", () => {
    const { memory, guest, world } = connected()
    guest.window = 0
    guest.send("A")
    memory.run(3_600_000)
    segments(memory)
    world.write("hello")
    memory.run(1_000)
    expect(memory.guest.inbox).toHaveLength(1)
    guest.expect(check.tcp({ flags: "A", sequence: after(guest.acknowledgement, -1) }))
    guest.window = 100
    guest.send("A")
    guest.expect(check.payload("hello"))
  })

  test("that opens brings what there is room for", () => {
    const { memory, guest, world } = connected()
    guest.window = 0
    guest.send("A")
    memory.run()
    world.write(patternBytes(3_000))
    memory.run(100)
    guest.window = 100
    guest.send("A")
    guest.expect(check.payloadLength(100))
    memory.guest.expectNothing()
  })

  test("leaves the time-out for lost segments what it was", () => {
    const both = connected()
    const { memory, guest, world } = both
    world.write("x")
    guest.expect(check.payload("x"))
    memory.run(1)
    guest.window = 0
    guest.send("A")
    world.write("hello")
    const end = memory.guest.onFrame(() => {
      guest.send("A")
      return true
    })
    memory.run(60_150)
    end()
    guest.window = 1_000
    guest.send("A")
    memory.guest.expect(check.payload("hello"))
    // Neither the time spent probing the window counts, nor the number of probes.
    memory.run(199)
    memory.guest.expectNothing()
    memory.run(1)
    memory.guest.expect(check.payload("hello"))
  })

  test("while something is in flight is asked about, too: what was lost comes again once it opens", () => {
    const { memory, guest, world } = connected({ window: 5_000 })
    world.write(patternBytes(4_000))
    const first = guest.acknowledgement
    expect(segments(memory)).toHaveLength(3)
    // A guest that is short of memory dropped it.
    guest.window = 0
    guest.send("A")
    const end = memory.guest.onFrame(({ tcp, payload }) => {
      expect(payload).toHaveLength(0)
      expect(tcp?.sequence).toBe(after(first, -1))
      guest.send("A")
      return true
    })
    memory.run(3_600_000)
    end()
    expect(world.isReset).toBe(false)
    guest.window = 5_000
    guest.send("A")
    memory.run()
    expect(segments(memory).map(({ tcp }) => after(tcp?.sequence, -first))).toEqual([0, 1_460, 2_920])
  })

  test("keeps a FIN waiting, and nothing else", () => {
    const { memory, guest, world } = connected()
    guest.window = 0
    guest.send("A")
    memory.run()
    world.end()
    memory.run(100)
    memory.guest.expectNothing()
    guest.send("A", "still talking")
    memory.run(1)
    expect(world.receivedText).toBe("still talking")
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
    guest.window = 1
    guest.send("A")
    guest.expect(check.tcp({ flags: "AF" }))
  })
})
