import { check, patternBytes } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { bench, connect, connected, scripted, segments } from "../test-support/bench.ts"

describe("the place of a connection that is over", () => {
  test("carries nothing of it over to the next one", () => {
    const { memory, guest, world } = connected({ syn: { mss: 500, windowScale: 9 }, window: 7 })
    world.write(patternBytes(10_000))
    guest.send("A", "not acknowledged yet")
    memory.run()
    guest.send("R")
    memory.run()
    segments(memory)
    const next = connect(memory, { ends: { sourcePort: 2 } })
    memory.run(10)
    memory.guest.expectNothing()
    next.world.write(patternBytes(3_000))
    expect(segments(memory).map(({ payload }) => payload.length)).toEqual([1_460, 1_460, 80])
  })

  test("is in no list twice, whatever it waited for", () => {
    // Far away, so that correspondents are polled for acknowledgements; with much to send, in small pieces.
    const memory = bench({ sockets: { rtt: 100, receiveBuffer: 1 << 22 }, listen: { receiveBuffer: 10 } })
    let asked = 0
    const { unacknowledged } = memory.sockets
    memory.sockets.unacknowledged = (socket) => {
      asked++
      return unacknowledged.call(memory.sockets, socket)
    }
    const countIn = (milliseconds: number) => {
      asked = 0
      memory.run(milliseconds)
      return asked
    }
    const begin = (sourcePort: number) => {
      const both = connect(memory, { ends: { sourcePort } })
      both.world.pause()
      both.guest.send("A", patternBytes(100))
      memory.run(1)
      return both
    }
    const first = begin(1)
    const alone = countIn(50)
    let last = first
    for (let port = 2; port < 20; port++) {
      last.guest.send("R")
      last = begin(port)
    }
    expect(countIn(50)).toBeLessThanOrEqual(alone + 1)
    last.guest.send("R")
    memory.run(1)
    expect(memory.flows.size).toBe(0)
  })

  test("is free again at the end of the turn: a thousand connections, one after another, leave nothing", () => {
    const memory = bench({ capacity: 2 })
    for (let count = 0; count < 1_000; count++) {
      const guest = scripted(memory, { sourcePort: 1_000 + count, sequence: count * 1_000_003 })
      guest.connect()
      if (count % 2 === 0) guest.send("R")
      else {
        // In one turn, the reset would come before the guest's acknowledgement.
        memory.run()
        memory.listener.connection.reset()
        guest.expectSome(check.tcp({ flags: "RA" }))
      }
      memory.run()
    }
    expect(memory.drops.get("flow: table full")).toBe(0)
    expect(memory.leftovers()).toEqual([])
  })
})
