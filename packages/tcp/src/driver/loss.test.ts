import { check, concatenate, patternBytes, sameBytes } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { after, type Connected, connected, numbers, segments } from "../test-support/bench.ts"

const MSS = 1_000
const options = { syn: { mss: MSS, windowScale: 7 }, window: 1_000 }

/** Writes `count` segments of payload, which all get lost. Returns the first one's number. */
function lose({ memory, guest, world }: Connected, count: number): number {
  world.write(patternBytes(count * MSS))
  expect(numbers(memory, guest.acknowledgement)).toHaveLength(count)
  return guest.acknowledgement
}

/** Acknowledges `count` segments, `times` times. */
function acknowledge({ guest }: Connected, first: number, count: number, times = 1): void {
  guest.acknowledgement = after(first, count * MSS)
  for (let time = 0; time < times; time++) guest.send("A")
}

describe("fast retransmission (RFC 5681, section 3.2)", () => {
  test("is brought by the third duplicate acknowledgement, not by the second", () => {
    const both = connected(options)
    const first = lose(both, 10)
    acknowledge(both, first, 1)
    acknowledge(both, first, 1, 2)
    both.memory.guest.expectNothing()
    acknowledge(both, first, 1)
    expect(numbers(both.memory, first)).toEqual(["A 1000+1000"])
    acknowledge(both, first, 1, 5)
    both.memory.guest.expectNothing()
  })

  test("brings the right bytes again, the host having been asked to drop what was acknowledged", () => {
    const both = connected(options)
    const first = lose(both, 10)
    acknowledge(both, first, 5)
    acknowledge(both, first, 5, 3)
    const [again] = segments(both.memory)
    expect(sameBytes(again.payload, patternBytes(MSS, 5 * MSS))).toBe(true)
  })

  test("is not brought by payload, by other windows, nor when nothing is in flight", () => {
    const both = connected(options)
    const { memory, guest } = both
    const first = lose(both, 10)
    acknowledge(both, first, 1)
    for (let count = 0; count < 5; count++) guest.send("A", "x")
    for (let count = 0; count < 5; count++) guest.send("A", "", { window: 990 - count })
    memory.run(1)
    expect(segments(memory).every(({ payload }) => payload.length === 0)).toBe(true)
    acknowledge(both, first, 10, 10)
    memory.guest.expectNothing()
  })

  test("goes on with each partial acknowledgement (RFC 6582)", () => {
    const both = connected(options)
    const { memory } = both
    const first = lose(both, 10)
    acknowledge(both, first, 1, 4)
    expect(numbers(memory, first)).toEqual(["A 1000+1000"])
    acknowledge(both, first, 4)
    expect(numbers(memory, first)).toEqual(["A 4000+1000"])
    acknowledge(both, first, 7)
    expect(numbers(memory, first)).toEqual(["A 7000+1000"])
    acknowledge(both, first, 10)
    memory.guest.expectNothing()
    memory.run(60_000)
    memory.guest.expectNothing()
  })

  test("halves what may be in flight, which then grows again", () => {
    const both = connected(options)
    const { memory, world } = both
    const first = lose(both, 20)
    world.write(patternBytes(100_000))
    segments(memory)
    acknowledge(both, first, 1, 4)
    segments(memory)
    // 119 were in flight.
    acknowledge(both, first, 120)
    world.write(patternBytes(100_000))
    const flight = segments(memory).reduce((sum, { payload }) => sum + payload.length, 0)
    expect(flight).toBeGreaterThan(50_000)
    expect(flight).toBeLessThan(70_000)
    acknowledge(both, first, 120 + flight / MSS)
    expect(segments(memory).reduce((sum, { payload }) => sum + payload.length, 0)).toBe(100_000 - flight)
  })

  test("brings a FIN again as well", () => {
    const both = connected(options)
    const { memory, guest, world } = both
    world.write("x")
    guest.expect(check.payload("x"))
    world.end()
    const fin = memory.guest.expect(check.tcp({ flags: "AF" }))
    for (let count = 0; count < 4; count++) guest.send("A")
    guest.expect(check.tcp({ flags: "AF", sequence: fin.tcp?.sequence ?? -1 }))
  })

  test("ends the connection where the host's socket fails", () => {
    const both = connected(options)
    const first = lose(both, 10)
    both.memory.sockets.peek = () => -104
    acknowledge(both, first, 1, 4)
    expect(segments(both.memory).map(({ tcp }) => tcp?.flags)).toEqual(["RA", "RA"])
    expect(both.memory.leftovers()).toEqual([])
  })
})

describe("the retransmission time-out (RFC 6298)", () => {
  // RFC 9293 3.8.3
  test("is a second before anything was measured, and doubles until the connection is given up", () => {
    const both = connected(options)
    const { memory } = both
    lose(both, 1)
    const start = memory.clock.now
    const times: number[] = []
    memory.guest.onFrame(() => {
      times.push((memory.clock.now - start) / 1_000)
      return true
    })
    memory.run(3_600_000)
    const expected = [1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363, 423, 483]
    expect([...new Set(times)]).toEqual(expected)
    expect(both.world.isReset).toBe(true)
    expect(memory.leftovers()).toEqual([])
  })

  test("follows what is measured, and is never less than 200 ms", () => {
    const both = connected(options)
    const { memory, guest, world } = both
    for (let count = 0; count < 20; count++) {
      world.write("x")
      guest.expect(check.payload("x"))
      memory.run(300)
      guest.send("A")
      memory.run()
    }
    world.write("lost")
    memory.guest.expect(check.payload("lost"))
    memory.run(300)
    memory.guest.expectNothing()
    memory.run(60)
    guest.expect(check.payload("lost"))
    guest.send("A")
    for (let count = 0; count < 100; count++) {
      world.write("x")
      guest.expect(check.payload("x"))
      memory.run(1)
      guest.send("A")
      memory.run()
    }
    world.write("lost")
    memory.guest.expectSome(check.payload("lost"))
    memory.run(199)
    memory.guest.expectNothing()
    memory.run(1)
    memory.guest.expect(check.payload("lost"))
  })

  test("is not measured by what was sent twice (Karn)", () => {
    const both = connected(options)
    const { memory, guest, world } = both
    lose(both, 1)
    memory.run(1_000)
    guest.expect(check.payloadLength(MSS))
    memory.run(5)
    guest.send("A")
    memory.run()
    // A round trip of 5 ms would have made it 200 ms; it stays doubled until a round trip is measured.
    world.write("x")
    guest.expect(check.payload("x"))
    memory.run(1_999)
    memory.guest.expectNothing()
    memory.run(1)
    memory.guest.expect(check.payload("x"))
  })

  test("is not measured by what fast retransmission repeats either", () => {
    const both = connected(options)
    const { memory, guest, world } = both
    const first = lose(both, 3)
    memory.run(150)
    acknowledge(both, first, 0, 3)
    expect(numbers(memory, first)).toEqual(["A 0+1000"])
    memory.run(1)
    acknowledge(both, first, 3)
    world.write("x")
    guest.expect(check.payload("x"))
    memory.run(999)
    memory.guest.expectNothing()
    memory.run(1)
    memory.guest.expect(check.payload("x"))
  })

  test("starts anew with each acknowledgement", () => {
    const both = connected(options)
    const { memory } = both
    const first = lose(both, 3)
    memory.run(1)
    acknowledge(both, first, 1)
    memory.run(150)
    acknowledge(both, first, 2)
    memory.run(199)
    memory.guest.expectNothing()
    memory.run(1)
    expect(numbers(memory, first)).toEqual(["A 2000+1000"])
  })

  test("goes back to the first unacknowledged byte, with one segment at first", () => {
    const both = connected(options)
    const { memory } = both
    const first = lose(both, 10)
    memory.run(1_000)
    expect(numbers(memory, first)).toEqual(["A 0+1000"])
    acknowledge(both, first, 1)
    expect(numbers(memory, first)).toEqual(["A 1000+1000", "A 2000+1000"])
    acknowledge(both, first, 3)
    expect(numbers(memory, first)).toEqual(["A 3000+1000", "A 4000+1000", "A 5000+1000", "A 6000+1000"])
  })

  test("goes on from where an acknowledgement jumps to: the rest had arrived", () => {
    const both = connected(options)
    const { memory, guest, world } = both
    const first = lose(both, 10)
    memory.run(1_000)
    expect(numbers(memory, first)).toEqual(["A 0+1000"])
    acknowledge(both, first, 8)
    expect(numbers(memory, first)).toEqual(["A 8000+1000", "A 9000+1000"])
    acknowledge(both, first, 10)
    memory.guest.expectNothing()
    world.write("after")
    guest.expect(check.payload("after"), check.tcp({ sequence: after(first, 10_000) }))
  })

  test("is not followed by fast retransmission of what the guest had (RFC 6582, section 3.2)", () => {
    const both = connected(options)
    const { memory } = both
    const first = lose(both, 10)
    memory.run(1_000)
    acknowledge(both, first, 1)
    segments(memory)
    // Answers to segments that came twice.
    acknowledge(both, first, 1, 5)
    memory.guest.expectNothing()
    acknowledge(both, first, 10)
    // From then on, duplicates count again.
    both.world.write(patternBytes(5_000))
    segments(memory)
    acknowledge(both, first, 10, 3)
    expect(numbers(memory, first)).toEqual(["A 10000+1000"])
  })

  test("gets everything through a link that loses all but the first segment of each burst", () => {
    const both = connected(options)
    const { memory, guest, world } = both
    const content = patternBytes(30_000)
    world.write(content)
    world.end()
    const received: Uint8Array[] = []
    let isEnded = false
    // Of each burst, only the first segment arrives.
    for (let turn = 0; turn < 200 && !isEnded; turn++) {
      const [frame] = segments(memory)
      if (frame?.tcp?.sequence === guest.acknowledgement) {
        received.push(frame.payload)
        isEnded = frame.tcp.flags.includes("F")
        guest.acknowledgement = after(frame.tcp.sequence, frame.payload.length + (isEnded ? 1 : 0))
      }
      guest.send("A")
      memory.run(60_000)
    }
    expect(isEnded).toBe(true)
    expect(sameBytes(concatenate(received), content)).toBe(true)
  })

  test("sends a FIN again until it is acknowledged, behind what is missing before it", () => {
    const both = connected(options)
    const { memory, guest, world } = both
    const first = guest.acknowledgement
    world.write(patternBytes(2 * MSS))
    world.end()
    expect(numbers(memory, first)).toEqual(["A 0+1000", "A 1000+1000", "FA 2000+0"])
    memory.run(1_000)
    expect(numbers(memory, first)).toEqual(["A 0+1000"])
    acknowledge(both, first, 2)
    expect(numbers(memory, first)).toEqual(["FA 2000+0"])
    memory.run(2_000)
    expect(numbers(memory, first)).toEqual(["FA 2000+0"])
    guest.acknowledgement = after(first, 2 * MSS + 1)
    guest.send("A")
    memory.run(240_000)
    memory.guest.expectNothing()
  })
})

describe("a link to the guest that is full", () => {
  test("loses payload, which comes again", () => {
    // At most a thousand frames wait at the guest, and more are sent at once where no window limits it.
    const both = connected({ syn: { mss: 536, windowScale: 7 }, sockets: { receiveBuffer: 4 << 20 } })
    const { memory, guest, world } = both
    const content = patternBytes(1_500_000)
    world.write(content)
    const received: Uint8Array[] = []
    let total = 0
    for (let turn = 0; turn < 1_000 && total < content.length; turn++) {
      for (const { tcp, payload } of segments(memory)) {
        if (tcp?.sequence === guest.acknowledgement) {
          guest.acknowledgement = after(tcp.sequence, payload.length)
          received.push(payload)
          total += payload.length
        }
        guest.send("A")
      }
      memory.run(100)
    }
    expect(memory.drops.get("link: full")).toBeGreaterThan(100)
    expect(sameBytes(concatenate(received), content)).toBe(true)
  })

  test("loses a reset; what the guest sends next is answered by another one", () => {
    const { memory, guest, world } = connected(options)
    world.reset()
    segments(memory)
    guest.send("A", "still there?")
    guest.expect(check.tcp({ flags: "R", sequence: guest.acknowledgement }))
    expect(memory.leftovers()).toEqual([])
  })

  test("loses the acknowledgement that opens the window; the guest's question is answered", () => {
    const { memory, guest, world } = connected({
      sockets: { sendBuffer: 1_000, sendBufferSize: 1_000 },
      listen: { receiveBuffer: 1_000 },
    })
    world.pause()
    for (let sent = 0; sent < 65_535; sent += 1_311) guest.send("A", new Uint8Array(Math.min(1_311, 65_535 - sent)))
    memory.run(1)
    world.resume()
    memory.run(1)
    expect(segments(memory).at(-1)?.tcp?.window).toBeGreaterThan(0)
    memory.run(1_000)
    guest.send("A", "", { sequence: after(guest.sequence, -1) })
    // The segment is also taken for a keep-alive probe, so the correspondent is probed.
    memory.run(10)
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence, window: check.atLeast(16_384) }))
  })
})

describe("after the link was gone", () => {
  test("what is unacknowledged comes again at once, without what its time-out had grown to", () => {
    const both = connected(options)
    const { memory, guest } = both
    const first = lose(both, 1)
    memory.run(40_000)
    expect(segments(memory).length).toBeGreaterThan(3)
    memory.run(1_000)
    memory.guest.expectNothing()
    memory.stack.reconnected()
    memory.run(2)
    expect(numbers(memory, first)).toEqual(["A 0+1000"])
    // RFC 6298, section 2: not the tens of seconds of the backed-off time-out.
    memory.run(2_000)
    expect(numbers(memory, first).length).toBeGreaterThan(0)
    acknowledge(both, first, 1)
    guest.send("A", "still here")
    memory.run(1)
    expect(both.world.receivedText).toBe("still here")
  })

  test("a connection has all its retransmissions before it, each time", () => {
    const both = connected(options)
    lose(both, 1)
    for (let count = 0; count < 5; count++) {
      both.memory.run(200_000)
      both.memory.stack.reconnected()
    }
    expect(both.world.isReset).toBe(false)
  })

  test("a connection that waits for nothing sends nothing", () => {
    const { memory } = connected(options)
    memory.stack.reconnected()
    memory.run(1_000)
    memory.guest.expectNothing()
  })

  test("nobody waits for ever: retransmissions end the connection", () => {
    const both = connected(options)
    lose(both, 1)
    both.memory.run(1_800_000)
    expect(both.world.isReset).toBe(true)
  })
})
