import { check } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { after, connected, segments } from "./test-support/bench.ts"

const TWO_HOURS = 7_200_000

describe("a guest that is silent (RFC 9293, section 3.8.4)", () => {
  test("is asked after two hours with a number that it has acknowledged", () => {
    const { memory, guest } = connected()
    memory.run(TWO_HOURS - 1)
    memory.guest.expectNothing()
    memory.run(1)
    memory.guest.expect(
      check.tcp({ flags: "A", sequence: after(guest.acknowledgement, -1), acknowledgement: guest.sequence }),
      check.payloadLength(0),
    )
    guest.send("A")
    memory.run(TWO_HOURS - 1)
    memory.guest.expectNothing()
    memory.run(1)
    expect(segments(memory)).toHaveLength(1)
  })

  test("is asked nine times, then both ends are told that the connection is over", () => {
    const { memory, guest, world } = connected()
    const start = memory.clock.now
    const times: number[] = []
    memory.guest.onFrame(({ tcp }) => {
      if (tcp?.flags === "A") times.push((memory.clock.now - start - TWO_HOURS) / 1_000)
      return tcp?.flags === "A"
    })
    memory.run(TWO_HOURS + 3_600_000)
    expect(times).toEqual([0, 75, 150, 225, 300, 375, 450, 525, 600])
    expect(segments(memory).map(({ tcp }) => [tcp?.flags, tcp?.sequence])).toEqual([["RA", guest.acknowledgement]])
    expect(world.isReset).toBe(true)
    expect(memory.leftovers()).toEqual([])
  })

  test("is not asked while it sends something", () => {
    const { memory, guest } = connected()
    for (let hour = 0; hour < 10; hour++) {
      memory.run(TWO_HOURS / 2)
      guest.send("A", "x")
    }
    memory.run(1)
    expect(segments(memory).every(({ tcp }) => tcp?.sequence === guest.acknowledgement)).toBe(true)
  })

  test("that asks itself is answered", () => {
    const { memory, guest } = connected()
    guest.send("A", "", { sequence: after(guest.sequence, -1) })
    guest.expect(check.tcp({ flags: "A", sequence: guest.acknowledgement, acknowledgement: guest.sequence }))
    memory.run(75_000)
    // As old implementations do, with a byte that is acknowledged.
    guest.send("A", "?", { sequence: after(guest.sequence, -1) })
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
    memory.guest.expectNothing()
  })

  test("does not take a socket of a host whose connection is broken along", () => {
    const { memory, world } = connected()
    memory.run(TWO_HOURS)
    segments(memory)
    world.reset()
    memory.run(1)
    expect(segments(memory).map(({ tcp }) => tcp?.flags)).toEqual(["RA"])
    expect(memory.leftovers()).toEqual([])
  })
})
