import { patternBytes, sameBytes } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { bench, connect, connected, segments } from "../test-support/bench.ts"

const SEGMENT = 1_000

/** Sends the numbered segments of one content in this order. Returns the ends and the acknowledgements. */
function deliver(order: readonly number[]) {
  const { memory, guest, world } = connected()
  const content = patternBytes(SEGMENT * (Math.max(...order) + 1))
  const first = guest.sequence
  for (const index of order) {
    const start = index * SEGMENT
    guest.send("A", content.subarray(start, start + SEGMENT), { sequence: (first + start) | 0 })
    memory.run()
  }
  const acknowledged = segments(memory).map(({ tcp }) => ((tcp?.acknowledgement ?? 0) - first) | 0)
  return { memory, guest, world, content, acknowledged, first }
}

describe("payload ahead of what is expected", () => {
  test("is kept until what is missing has come", () => {
    const { world, content, acknowledged } = deliver([1, 2, 3, 0])
    expect(sameBytes(world.received, content)).toBe(true)
    // Three duplicates, which request the first segment, then everything at once.
    expect(acknowledged).toEqual([0, 0, 0, 4 * SEGMENT])
  })

  test("is kept in several islands, whichever way they come together", () => {
    for (const order of [
      [2, 4, 6, 0, 1, 3, 5],
      [6, 5, 4, 3, 2, 1, 0],
      [1, 3, 2, 0],
    ]) {
      const { world, content } = deliver(order)
      expect(sameBytes(world.received, content), order.join(" ")).toBe(true)
    }
  })

  test("is dropped beyond eight islands, and comes again", () => {
    const order = [2, 4, 6, 8, 10, 12, 14, 16, 18]
    const { memory, guest, world, content, first } = deliver(order)
    expect(memory.drops.get("tcp: out of order")).toBe(1)
    for (let index = 0; index <= 18; index++) {
      const start = index * SEGMENT
      guest.send("A", content.subarray(start, start + SEGMENT), { sequence: (first + start) | 0 })
    }
    memory.run()
    expect(sameBytes(world.received, content)).toBe(true)
  })

  test("may overlap what comes in order", () => {
    const { memory, guest, world } = connected()
    const content = patternBytes(3_000)
    const first = guest.sequence
    guest.send("A", content.subarray(1_000, 3_000), { sequence: first + 1_000 })
    guest.send("A", content.subarray(0, 2_500), { sequence: first })
    memory.run()
    expect(sameBytes(world.received, content)).toBe(true)
    expect(segments(memory).at(-1)?.tcp?.acknowledgement).toBe(first + 3_000)
  })

  test("is let go of with its connection", () => {
    // A pool of sixteen blocks: later connections would lack what an earlier one leaves there.
    const memory = bench({ tcp: { holdPoolSize: 16 * 16_384 } })
    for (let round = 0; round < 50; round++) {
      const { guest } = connect(memory, { ends: { sourcePort: 40_000 + round } })
      for (const ahead of [1, 3, 5])
        guest.send("A", patternBytes(SEGMENT), { sequence: guest.sequence + ahead * SEGMENT })
      memory.run()
      guest.send("R", "")
      memory.run()
      memory.guest.takeAll()
    }
    expect(memory.drops.get("tcp: out of order")).toBe(0)
    expect(memory.leftovers()).toEqual([])
  })

  test("isn't taken beyond the window", () => {
    const { memory, guest } = connected()
    guest.send("A", patternBytes(SEGMENT), { sequence: guest.sequence + 65_000 })
    memory.run()
    expect(memory.drops.get("tcp: out of order")).toBe(1)
  })
})
