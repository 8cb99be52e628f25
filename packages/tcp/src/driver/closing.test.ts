import { check, patternBytes, sameBytes } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { after, type Connected, connected, numbers, segments } from "../test-support/bench.ts"

/** Expects that nothing is left once TIME-WAIT is over. */
function expectOver({ memory, world }: Connected): void {
  memory.run(1_000)
  memory.guest.expectNothing()
  expect(world.isOver).toBe(true)
  expect(world.isReset).toBe(false)
  expect(memory.leftovers()).toEqual([])
}

describe("the guest ends first", () => {
  test("and the host's correspondent goes on", () => {
    const both = connected()
    const { memory, guest, world } = both
    guest.send("AF", "request")
    memory.run(1)
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
    expect([world.receivedText, world.isEnded]).toEqual(["request", true])
    for (let count = 0; count < 5; count++) {
      memory.run(60_000)
      world.write(patternBytes(1_000, count * 1_000))
      const { payload } = guest.expect(check.payloadLength(1_000))
      expect(sameBytes(payload, patternBytes(1_000, count * 1_000))).toBe(true)
      guest.send("A")
    }
    world.end()
    guest.expect(check.tcp({ flags: "AF" }))
    guest.send("A")
    expectOver(both)
    expect(memory.flows.size).toBe(0)
  })

  test("and the host's correspondent at once: each end is acknowledged", () => {
    const both = connected()
    const { guest, world } = both
    const unacknowledged = guest.sequence
    guest.send("AF")
    world.end()
    // In one turn, events of sockets come before frames.
    guest.expect(check.tcp({ flags: "AF", acknowledgement: unacknowledged }))
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
    guest.send("A")
    expectOver(both)
  })

  test("and its FIN comes again: that is acknowledged again", () => {
    const { memory, guest, world } = connected()
    guest.send("AF")
    memory.run(1)
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
    guest.send("AF", "", { sequence: after(guest.sequence, -1) })
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
    guest.send("A", "more", { sequence: guest.sequence })
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
    memory.guest.expectNothing()
    expect(world.receivedLength).toBe(0)
  })

  test("and our FIN is lost: it comes again, and is the last thing", () => {
    const both = connected()
    const { memory, guest, world } = both
    guest.send("AF")
    memory.run(1)
    guest.expect(check.tcp({ flags: "A" }))
    world.end()
    memory.guest.expect(check.tcp({ flags: "AF" }))
    memory.run(1_000)
    guest.expect(check.tcp({ flags: "AF" }))
    guest.send("A")
    expectOver(both)
  })

  test("and never acknowledges our FIN: in the end it is reset", () => {
    const { memory, guest, world } = connected()
    guest.send("AF")
    memory.run(1)
    guest.expect(check.tcp({ flags: "A" }))
    world.end()
    memory.run(3_600_000)
    expect(segments(memory).at(-1)?.tcp?.flags).toContain("R")
    expect(memory.leftovers()).toEqual([])
  })
})

describe("the correspondent ends first", () => {
  test("and the guest goes on", () => {
    const both = connected()
    const { memory, guest, world } = both
    world.write("banner")
    world.end()
    guest.expect(check.payload("banner"))
    guest.expect(check.tcp({ flags: "AF" }))
    guest.send("A")
    const content = patternBytes(50_000)
    for (let at = 0; at < 50_000; at += 1_000) {
      guest.send("A", content.subarray(at, at + 1_000))
      memory.run(1_000)
    }
    expect(sameBytes(world.received, content)).toBe(true)
    segments(memory)
    guest.send("AF")
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
    memory.run()
    expect(memory.sockets.openSockets).toBe(0)
    expectOver(both)
  })

  test("and the guest answers with a FIN of its own at once", () => {
    const both = connected()
    const { guest, world } = both
    world.end()
    guest.expect(check.tcp({ flags: "AF" }))
    guest.send("AF")
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
    expectOver(both)
  })

  test("and both FINs cross: ours is acknowledged later", () => {
    const both = connected()
    const { memory, guest, world } = both
    const acknowledged = guest.acknowledgement
    world.end()
    guest.expect(check.tcp({ flags: "AF" }))
    guest.send("AF", "bye", { acknowledgement: acknowledged })
    guest.sequence = after(guest.sequence, 0)
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence, sequence: guest.acknowledgement }))
    expect([world.receivedText, world.isEnded]).toEqual(["bye", true])
    memory.run(500)
    expect(memory.sockets.openSockets).toBe(1)
    guest.send("A")
    memory.run()
    expect(memory.sockets.openSockets).toBe(0)
    expectOver(both)
  })

  test("and the guest is there, but never ends: the connection stays, and costs a question every five minutes", () => {
    const { memory, guest, world } = connected()
    world.end()
    guest.expect(check.tcp({ flags: "AF" }))
    guest.send("A")
    let questions = 0
    memory.guest.onFrame(() => {
      questions++
      guest.send("A")
      return true
    })
    memory.run(24 * 3_600_000)
    expect(memory.flows.size).toBe(1)
    expect(questions).toBe(24 * 12)
    expect(world.isReset).toBe(false)
  })

  test("and the guest is gone: the connection is over in the end", () => {
    const { memory, guest, world } = connected()
    world.end()
    guest.expect(check.tcp({ flags: "AF" }))
    guest.send("A")
    memory.run(3 * 3_600_000)
    expect(memory.leftovers()).toEqual([])
    expect(world.isReset).toBe(true)
  })

  test("with payload that the guest's window has no room for: the FIN comes behind it", () => {
    const { memory, guest, world } = connected({ window: 1_000 })
    const first = guest.acknowledgement
    world.write(patternBytes(2_500))
    world.end()
    for (const expected of [["A 0+1000"], ["A 1000+1000"], ["A 2000+500", "FA 2500+0"]]) {
      memory.run(100)
      const frames = numbers(memory, first)
      expect(frames).toEqual(expected)
      const count = Math.min(2_500, ((guest.acknowledgement - first) >>> 0) + 1_000)
      guest.acknowledgement = after(first, count + (frames.length > 1 ? 1 : 0))
      guest.send("A")
    }
    guest.send("AF")
    memory.run(1_100)
    expect(memory.leftovers()).toEqual([])
  })
})

describe("a guest that resets the connection when both have ended (RFC 9293, section 3.10.7.4)", () => {
  /** The guest's payload is on its way to a correspondent that reads on request, and has ended. */
  const ended = (crossing: boolean) => {
    const both = connected({ sockets: { sendBuffer: 1_000, sendBufferSize: 1_000 }, listen: { receiveBuffer: 500 } })
    const { memory, guest, world } = both
    world.pause()
    const first = guest.acknowledgement
    if (crossing) world.end()
    memory.run()
    guest.send("AF", patternBytes(1_400), { acknowledgement: first })
    guest.sequence = after(guest.sequence, 0)
    world.write(crossing ? "" : "not acknowledged")
    if (!crossing) world.end()
    memory.run(1)
    segments(memory)
    guest.send("R")
    return both
  }

  test.each([
    ["LAST-ACK", false],
    ["CLOSING", true],
  ])("ends it in the state %s, and what it had sent is delivered", (_, crossing) => {
    const both = ended(crossing)
    const { memory, world } = both
    for (let count = 0; count < 20; count++) {
      world.take(100)
      memory.run(10)
    }
    expect(sameBytes(world.received, patternBytes(1_400))).toBe(true)
    expect(world.isEnded).toBe(true)
    expectOver(both)
  })
})

describe("TIME-WAIT", () => {
  const waiting = (): Connected => {
    const both = connected()
    const { guest, world } = both
    world.end()
    guest.expect(check.tcp({ flags: "AF" }))
    guest.send("AF")
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
    return both
  }

  test("acknowledges a FIN that comes again, and then lasts for a second more", () => {
    const both = waiting()
    const { memory, guest } = both
    for (let count = 0; count < 3; count++) {
      memory.run(900)
      guest.send("AF", "", { sequence: after(guest.sequence, -1) })
      guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
    }
    expectOver(both)
  })

  test("has no socket of the host any more", () => {
    const { memory } = waiting()
    expect(memory.sockets.openSockets).toBe(0)
    expect(memory.flows.size).toBe(1)
  })

  test("gives way to a new connection with a later number (RFC 9293, section 3.6.1)", () => {
    const { memory, guest } = waiting()
    guest.sequence = after(guest.sequence, 1_000)
    guest.send("S", "", { options: { mss: 1_460 } })
    guest.expect(check.tcp({ flags: "SA", acknowledgement: guest.sequence }))
    guest.send("A", "again")
    memory.run(1)
    expect(memory.listener.connections).toHaveLength(2)
    expect(memory.listener.connection.receivedText).toBe("again")
  })

  test("gives way to one that begins behind the numbers of the connection before, however fast that was", () => {
    const both = connected()
    const { memory, guest, world } = both
    // No time passes here.
    for (let round = 0; round < 40; round++) {
      world.write(patternBytes(1_400))
      memory.clock.settle()
      const segment = guest.expect(check.tcp({ flags: "PA" }))
      expect(segment.payload).toHaveLength(1_400)
      guest.send("A")
    }
    world.end()
    guest.expect(check.tcp({ flags: "AF" }))
    guest.send("AF")
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
    const last = guest.acknowledgement
    guest.sequence = after(guest.sequence, 1_000)
    guest.send("S", "", { options: { mss: 1_460 } })
    const { tcp } = guest.expect(check.tcp({ flags: "SA", acknowledgement: guest.sequence }))
    expect(after(tcp?.sequence ?? 0, -last) | 0).toBeGreaterThanOrEqual(0)
  })

  test("challenges one with an earlier number, and ignores resets (RFC 1337)", () => {
    const both = waiting()
    const { memory, guest } = both
    guest.send("S", "", { sequence: after(guest.sequence, -1_000) })
    const challenge = guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
    guest.send("R", "", { sequence: challenge.tcp?.acknowledgement })
    memory.run(500)
    expect(memory.flows.size).toBe(1)
    memory.run(500)
    expect(memory.flows.size).toBe(0)
    guest.sequence = after(guest.sequence, -1_000)
    guest.send("S")
    guest.expect(check.tcp({ flags: "SA", acknowledgement: guest.sequence }))
  })

  test("is over after a second; what comes later is refused", () => {
    const both = waiting()
    const { memory, guest } = both
    expectOver(both)
    guest.send("AF", "", { sequence: after(guest.sequence, -1) })
    guest.expect(check.tcp({ flags: "R", sequence: guest.acknowledgement }))
    expect(memory.leftovers()).toEqual([])
  })
})

describe("what the host has not taken when both have ended", () => {
  /**
   * The guest has sent 4,200 bytes and its FIN, all acknowledged; the correspondent has read nothing, and has ended.
   */
  const ended = () => {
    const both = connected({ sockets: { sendBuffer: 1_000, sendBufferSize: 1_000 }, listen: { receiveBuffer: 1_000 } })
    const { memory, guest, world } = both
    world.pause()
    for (let at = 0; at < 4_200; at += 1_400) guest.send("A", patternBytes(1_400, at))
    guest.send("AF")
    memory.run(1)
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
    world.end()
    guest.expect(check.tcp({ flags: "AF" }))
    guest.send("A")
    memory.run(5)
    memory.guest.expectNothing()
    return both
  }

  test("is delivered however long that takes, as long as it goes on", () => {
    const both = ended()
    const { memory, world } = both
    for (let count = 0; count < 60; count++) {
      memory.run(100_000)
      world.take(100)
    }
    expect(sameBytes(world.received, patternBytes(4_200))).toBe(true)
    expect(world.isEnded).toBe(true)
    expectOver(both)
  })

  test("is given up after ten minutes in which nothing was taken, whatever the guest sends meanwhile", () => {
    const { memory, guest, world } = ended()
    for (let minute = 0; minute < 9; minute++) {
      memory.run(60_000)
      // To the guest, the connection is over.
      guest.send("R")
      guest.send("A")
      guest.send("S", "", { sequence: 1 })
    }
    expect(memory.flows.size).toBe(1)
    memory.run(61_000)
    expect(world.isReset).toBe(true)
    expect(memory.leftovers()).toEqual([])
  })
})
