import { check, patternBytes } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { after, connected, segments } from "../test-support/bench.ts"

describe("acknowledgements, the correspondent being near", () => {
  test("are of what the host's socket took, whether the correspondent has it or not", () => {
    const { memory, guest, world } = connected({ listen: { receiveBuffer: 10 } })
    world.pause()
    guest.send("A", patternBytes(1_000))
    memory.run(1)
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
    expect(world.unread).toBe(10)
  })

  test("wait up to a millisecond for payload to ride on", () => {
    const { memory, guest, world } = connected()
    guest.send("A", "question")
    memory.guest.expectNothing()
    world.write("answer")
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }), check.payload("answer"))
    memory.run(1_000)
    expect(segments(memory).filter(({ payload }) => payload.length === 0)).toEqual([])
    guest.send("A", "more")
    memory.guest.expectNothing()
    memory.run(1)
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }), check.payloadLength(0))
  })

  test("don't wait for more than a little payload, nor once the correspondent has ended", () => {
    const { memory, guest, world } = connected({ link: { mtu: 9_000 } })
    guest.send("A", patternBytes(8_192))
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
    world.end()
    guest.expect(check.tcp({ flags: "AF" }))
    guest.send("A", "rest")
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
    memory.guest.expectNothing()
  })

  test("of a whole batch of segments are one", () => {
    const { memory, guest } = connected()
    for (let count = 0; count < 20; count++) guest.send("A", patternBytes(1_000))
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
    memory.run(1_000)
    memory.guest.expectNothing()
  })

  test("that ride on payload move the window as well, so that transfers both ways go on", () => {
    const { memory, guest, world } = connected({ syn: { mss: 1_460, windowScale: 7 }, window: 1_000 })
    const start = guest.sequence
    let edge = 0
    world.onData = (bytes) => world.write(bytes)
    for (let sent = 0; sent < 1_000_000; sent += 1_000) {
      guest.send("A", patternBytes(1_000))
      for (const { tcp, payload } of segments(memory)) {
        guest.acknowledgement = after(tcp?.sequence, payload.length)
        edge = after(tcp?.acknowledgement, ((tcp?.window ?? 0) << 8) - start)
      }
      expect(edge - sent, "room").toBeGreaterThan(64 << 10)
    }
    expect(world.receivedLength).toBe(1_000_000)
  })
})

describe("acknowledgements, the correspondent being far", () => {
  const far = (window = 0xffff) => {
    const both = connected({ sockets: { rtt: 100 }, window })
    both.memory.run(200)
    return both
  }

  test("are of what the correspondent has acknowledged", () => {
    const { memory, guest } = far()
    guest.send("A", patternBytes(1_000))
    memory.run(99)
    expect(segments(memory).every(({ tcp }) => tcp?.acknowledgement === after(guest.sequence, -1_000))).toBe(true)
    memory.run(15)
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
    memory.run(10_000)
    memory.guest.expectNothing()
    expect(memory.stack.nextDeadline()).toBeGreaterThan(memory.clock.now + 240_000)
  })

  test("are as near as the option says", () => {
    const { memory, guest } = connected({ sockets: { rtt: 100 }, tcp: { acknowledgeOnAcceptRtt: 100_000 } })
    guest.send("A", "x")
    memory.run(1)
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
  })

  test("are not repeated while there is no news: a guest would take that for a sign of loss", () => {
    const { memory, guest } = far()
    for (let count = 0; count < 20; count++) {
      guest.send("A", "x")
      memory.run(3)
    }
    const reported = segments(memory).map(({ tcp }) => `${tcp?.acknowledgement} ${tcp?.window}`)
    expect(new Set(reported).size).toBe(reported.length)
  })

  test("announce a larger window also without acknowledging anything", () => {
    const { memory, guest } = connected({
      sockets: { rtt: 100, sendBuffer: 1 << 20 },
      syn: { mss: 1_460, windowScale: 7 },
    })
    memory.run(200)
    guest.send("A", "x")
    memory.run(1)
    guest.expect(check.tcp({ flags: "A", acknowledgement: after(guest.sequence, -1), window: check.atLeast(1_024) }))
  })

  test("that ride on payload are followed up: nothing has to be sent again", () => {
    const { memory, guest, world } = far(1_000)
    world.write(patternBytes(3_000))
    memory.runUntil(() => memory.guest.inbox.length > 0)
    guest.expect(check.payloadLength(1_000))
    // Payload of the host leaves in the same turn, since the window allows it.
    guest.send("A", "x")
    guest.expect(check.payloadLength(1_000), check.tcp({ acknowledgement: after(guest.sequence, -1) }))
    memory.run(150)
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }), check.payloadLength(0))
  })

  test("are of everything once the guest has ended: what is missing shows by a reset", () => {
    const { memory, guest, world } = far()
    guest.send("AF", "last words")
    memory.run(1)
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
    memory.run(100)
    expect(world.receivedText).toBe("last words")
    expect(world.isEnded).toBe(true)
  })

  test("of a silent correspondent are asked for less and less often, and not late when it speaks again", () => {
    const { memory, guest, world } = connected({ sockets: { rtt: 100 }, listen: { receiveBuffer: 10 } })
    world.pause()
    let asked = 0
    const { unacknowledged } = memory.sockets
    memory.sockets.unacknowledged = (socket) => {
      asked++
      return unacknowledged.call(memory.sockets, socket)
    }
    guest.send("A", patternBytes(20))
    memory.run(1_000)
    expect(asked).toBeGreaterThan(10)
    memory.run(59_000)
    asked = 0
    memory.run(60_000)
    expect(asked).toBeLessThanOrEqual(2 * 60)
    segments(memory)

    world.resume()
    memory.run(1_200)
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
    // Payload that follows is polled for soon again.
    guest.send("A", "x")
    memory.run(115)
    expect(segments(memory).at(-1)?.tcp?.acknowledgement).toBe(guest.sequence)
  })
})
