import { check, patternBytes } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { after, type Connected, connected, segments } from "../test-support/bench.ts"

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

/** Takes the probes of the guest, and answers them. Returns their times in seconds from now. */
function questions({ memory, guest }: Connected, answer?: () => void): number[] {
  const start = memory.clock.now
  const times: number[] = []
  memory.guest.onFrame(({ tcp }) => {
    const isQuestion = tcp?.flags === "A" && tcp.sequence === after(guest.acknowledgement, -1)
    if (isQuestion) {
      times.push((memory.clock.now - start) / SECOND)
      answer?.()
    }
    return isQuestion
  })
  return times
}

describe("a guest that is silent (RFC 9293, section 3.8.4)", () => {
  test("is asked after five minutes with a number that it has acknowledged", () => {
    const { memory, guest } = connected()
    memory.run(5 * MINUTE - 1)
    memory.guest.expectNothing()
    memory.run(1)
    memory.guest.expect(
      check.tcp({ flags: "A", sequence: after(guest.acknowledgement, -1), acknowledgement: guest.sequence }),
      check.payloadLength(0),
    )
    guest.send("A")
    memory.run(5 * MINUTE - 1)
    memory.guest.expectNothing()
    memory.run(1)
    expect(segments(memory)).toHaveLength(1)
  })

  // RFC 9293 3.8.4
  test("and does not answer keeps the connection for more than two hours and four minutes (RFC 5382, REQ-5)", () => {
    const both = connected()
    const { memory, guest, world } = both
    const times = questions(both)
    memory.run(125 * MINUTE - 1)
    expect(times).toEqual(Array.from({ length: 24 }, (_, index) => 300 * (index + 1)))
    expect(world.isReset).toBe(false)
    memory.run(1)
    expect(segments(memory).map(({ tcp }) => [tcp?.flags, tcp?.sequence])).toEqual([["RA", guest.acknowledgement]])
    memory.run()
    expect(world.isReset).toBe(true)
    expect(memory.leftovers()).toEqual([])
  })

  test("keeps the connection for as long as it answers", () => {
    const both = connected()
    const times = questions(both, () => both.guest.send("A"))
    both.memory.run(24 * HOUR)
    expect(times).toHaveLength((24 * HOUR) / (5 * MINUTE))
    expect(both.world.isReset).toBe(false)
  })

  test("and has lost the connection ends it by its reset", () => {
    const both = connected()
    questions(both, () => both.guest.send("R"))
    both.memory.run(5 * MINUTE + 1)
    expect(both.world.isReset).toBe(true)
    expect(both.memory.leftovers()).toEqual([])
  })

  test("is not asked while it sends something", () => {
    const { memory, guest } = connected()
    for (let time = 0; time < HOUR; time += 4 * MINUTE) {
      memory.run(4 * MINUTE)
      guest.send("A", "x")
    }
    memory.run(1)
    expect(segments(memory).every(({ tcp }) => tcp?.sequence === guest.acknowledgement)).toBe(true)
  })

  test("is asked whatever comes with numbers that are not the connection's", () => {
    const both = connected()
    const { memory, guest } = both
    const times = questions(both)
    for (let minute = 0; minute < 6; minute++) {
      guest.send("A", "", { sequence: after(guest.sequence, 1 << 30) })
      guest.send("A", "garbage", { sequence: after(guest.sequence, -(1 << 29)) })
      guest.send("A", "", { acknowledgement: after(guest.acknowledgement, 1 << 20) })
      memory.run(MINUTE)
    }
    expect(times).toEqual([300])
  })

  test("does not take a socket of a host whose connection is broken along", () => {
    const { memory, world } = connected()
    memory.run(5 * MINUTE)
    segments(memory)
    world.reset()
    memory.run(1)
    expect(segments(memory).map(({ tcp }) => tcp?.flags)).toEqual(["RA"])
    expect(memory.leftovers()).toEqual([])
  })

  test("is not waited for by a correspondent that acknowledges nothing: its reset bears the number that was acknowledged", () => {
    const { memory, guest, world } = connected({ tcp: { acknowledgeOnAcceptRtt: -1 } })
    world.vanish()
    guest.send("A", "never acknowledged")
    memory.run(5 * MINUTE + 1)
    segments(memory)
    guest.send("R", "", { sequence: after(guest.sequence, -18) })
    memory.run(SECOND)
    expect(memory.leftovers()).toEqual([])
  })
})

describe("a guest that has closed while its correspondent has not", () => {
  /** The guest's payload and FIN are acknowledged. Its connection is `age` milliseconds old by then. */
  function closed(age = 0): Connected {
    const both = connected()
    both.memory.run(age)
    both.guest.send("AF", "bye")
    both.memory.run(10)
    both.guest.expect(check.tcp({ flags: "A", acknowledgement: both.guest.sequence }))
    expect(both.world.isEnded).toBe(true)
    return both
  }

  test("is asked after 65 seconds, and its reset ends the connection", () => {
    const both = closed()
    const times = questions(both, () => both.guest.send("R", "", { sequence: both.guest.sequence }))
    both.memory.run(66 * SECOND)
    expect(times).toEqual([64.99])
    expect(both.world.isReset).toBe(true)
    expect(both.memory.leftovers()).toEqual([])
  })

  test("is asked after 65 seconds however old its connection is", () => {
    const both = closed(100 * SECOND)
    const times = questions(both)
    both.memory.run(66 * SECOND)
    expect(times).toEqual([64.99])
  })

  test("and resets the connection before it was asked resets its correspondent, which hasn't got all", () => {
    const { memory, guest, world } = connected({ sockets: { sendBuffer: 1_000_000 }, listen: { receiveBuffer: 1_000 } })
    world.pause()
    guest.send("A", patternBytes(1_400))
    guest.send("AF")
    memory.run(10)
    guest.send("R")
    memory.run(10)
    world.resume()
    memory.run(SECOND)
    expect([world.isReset, world.isEnded]).toEqual([true, false])
    expect(memory.leftovers()).toEqual([])
  })

  test("is never ended while it answers, and gets what comes late", () => {
    const both = closed()
    const times = questions(both, () => both.guest.send("A"))
    both.memory.run(12 * HOUR)
    expect(times.length).toBe(Math.floor((12 * HOUR) / (65 * SECOND)))
    both.world.write("at last")
    both.world.end()
    both.memory.run(1)
    both.guest.expect(check.payload("at last"))
    both.guest.expect(check.tcp({ flags: "AF" }))
    both.guest.send("A")
    both.memory.run(2 * SECOND)
    expect(both.memory.leftovers()).toEqual([])
  })

  test("and does not answer is given up after nine questions", () => {
    const both = closed()
    const times = questions(both)
    both.memory.run(10 * 65 * SECOND)
    expect(times).toHaveLength(9)
    expect(both.world.isReset).toBe(true)
    expect(segments(both.memory).map(({ tcp }) => tcp?.flags)).toEqual(["RA"])
    expect(both.memory.leftovers()).toEqual([])
  })

  test.each([
    ["answers by a reset", true],
    ["does not answer", false],
  ])("and is gone takes nothing from a correspondent that reads slowly: it %s", (_, answers) => {
    const both = connected({ sockets: { sendBuffer: 4_000 }, listen: { receiveBuffer: 1_000 } })
    const { memory, guest, world } = both
    const content = patternBytes(20_000)
    world.pause()
    for (let at = 0; at < content.length; at += 1_000) guest.send("A", content.slice(at, at + 1_000))
    guest.send("AF")
    memory.run(10)
    expect(segments(memory).at(-1)?.tcp?.acknowledgement).toBe(guest.sequence)
    questions(both, () => answers && guest.send("R"))
    for (let step = 0; step < 60; step++) {
      memory.run(30 * SECOND)
      world.take(500)
    }
    world.resume()
    memory.run(SECOND)
    expect([world.receivedLength, world.isReset]).toEqual([20_000, false])
    expect(memory.leftovers()).toEqual([])
  })

  test.each([
    [66, 610],
    [640, 641],
  ])(
    "and is found to be gone after %i s: what it sent waits from then on for a correspondent that reads at %i s",
    (gone, reads) => {
      const { memory, guest, world } = connected({ sockets: { sendBuffer: 1_000 }, listen: { receiveBuffer: 1_000 } })
      const content = patternBytes(20_000)
      world.pause()
      for (let at = 0; at < content.length; at += 1_000) guest.send("A", content.slice(at, at + 1_000))
      guest.send("AF")
      memory.run(10 + gone * SECOND)
      guest.send("R")
      memory.run((reads - gone) * SECOND)
      world.resume()
      memory.run(20 * SECOND)
      expect([world.receivedLength, world.isReset]).toEqual([20_000, false])
    },
  )

  test("and has forgotten the connection takes nothing from a correspondent that reads slowly", () => {
    const both = connected({ sockets: { sendBuffer: 1_000_000 }, listen: { receiveBuffer: 1_000 } })
    const { memory, guest, world } = both
    const content = patternBytes(20_000)
    world.pause()
    for (let at = 0; at < content.length; at += 1_000) guest.send("A", content.slice(at, at + 1_000))
    guest.send("AF")
    memory.run(10)
    segments(memory)
    questions(both, () => guest.send("R", "", { sequence: guest.sequence }))
    memory.run(66 * SECOND)
    expect(memory.flows.size).toBe(0)
    world.resume()
    memory.run(SECOND)
    expect(world.received).toEqual(content)
    expect(world.isReset).toBe(false)
    expect(world.isEnded).toBe(true)
  })
})

describe("what a guest sent that has closed and is gone is delivered to a slow correspondent", () => {
  /** The guest sends 20,000 bytes and closes. The correspondent takes nothing yet. */
  function closed(): Connected {
    const both = connected({ sockets: { sendBuffer: 4_000 }, listen: { receiveBuffer: 1_000 } })
    both.world.pause()
    const content = patternBytes(20_000)
    for (let at = 0; at < content.length; at += 1_000) both.guest.send("A", content.slice(at, at + 1_000))
    both.guest.send("AF")
    both.memory.run(10)
    expect(segments(both.memory).at(-1)?.tcp?.acknowledgement).toBe(both.guest.sequence)
    return both
  }
  const expectAll = ({ world }: Connected) => expect([world.receivedLength, world.isReset]).toEqual([20_000, false])

  test.each([true, false])("while it takes some (the guest has forgotten the connection: %s)", (isForgotten) => {
    const both = closed()
    const { memory, guest, world } = both
    questions(both, () => isForgotten && guest.send("R", "", { sequence: guest.sequence }))
    for (let step = 0; step < 60 && !world.isReset; step++) {
      memory.run(30 * SECOND)
      world.take(500)
    }
    world.resume()
    memory.run(SECOND)
    expectAll(both)
  })

  test.each([
    [66, 9 * 60],
    [640, 2],
    [640, 9 * 60],
  ])("found to be gone after %i s, for ten minutes from then on (read after %i s)", (silence, pause) => {
    const both = closed()
    both.memory.run(silence * SECOND)
    both.guest.send("R", "", { sequence: both.guest.sequence })
    both.memory.run(pause * SECOND)
    both.world.resume()
    both.memory.run(20 * SECOND)
    expectAll(both)
  })
})

describe("a guest that asks after its correspondent", () => {
  /** Probes as Linux does: one sequence number back, without payload. */
  const ask = ({ guest }: Connected) => guest.send("A", "", { sequence: after(guest.sequence, -1) })
  const expectAnswer = ({ guest }: Connected) =>
    guest.expect(check.tcp({ flags: "A", sequence: guest.acknowledgement, acknowledgement: guest.sequence }))

  test("is answered at once if that was heard of a moment ago", () => {
    const both = connected()
    both.memory.run(900)
    ask(both)
    expectAnswer(both)
    expect(both.world.questions).toBe(0)
  })

  test("is answered once that has answered the host, which asks once for each question of the guest", () => {
    const both = connected({ sockets: { rtt: 40 } })
    for (let count = 1; count <= 5; count++) {
      both.memory.run(10 * SECOND)
      both.memory.guest.expectNothing()
      ask(both)
      both.memory.run(39)
      both.memory.guest.expectNothing()
      both.memory.run(30)
      expectAnswer(both)
      expect(both.world.questions).toBe(count)
    }
    both.memory.run(4 * MINUTE)
    expect(both.world.questions).toBe(5)
    both.memory.guest.expectNothing()
  })

  test("is not answered if that has vanished, and gives up when it wants", () => {
    const both = connected()
    both.memory.run(MINUTE)
    both.world.vanish()
    for (let count = 1; count <= 3; count++) {
      ask(both)
      both.memory.run(5 * SECOND)
      expect(both.world.questions).toBe(count)
    }
    both.memory.guest.expectNothing()
    both.guest.send("R")
    both.memory.run(SECOND)
    expect(both.memory.leftovers()).toEqual([])
  })

  test.each([
    [9, 75],
    [15, 10],
    [120, 60],
  ])("gives up itself, after %i questions, %i s apart", (count, interval) => {
    const both = connected()
    both.memory.run(MINUTE)
    both.world.vanish()
    for (let asked = 0; asked < count; asked++) {
      ask(both)
      both.memory.run(interval * SECOND)
    }
    both.memory.guest.expectNothing()
  })

  test("once learns by a reset what the host finds out later", () => {
    const both = connected()
    both.memory.run(MINUTE)
    both.world.vanish()
    ask(both)
    questions(both, () => both.guest.send("A"))
    both.memory.run(2 * HOUR)
    both.memory.guest.expectNothing()
    both.memory.run(12 * MINUTE)
    expect(segments(both.memory).at(-1)?.tcp?.flags).toBe("RA")
    expect(both.memory.leftovers()).toEqual([])
  })

  test("hears of a reset that answers the host", () => {
    const both = connected({ sockets: { rtt: 40 } })
    both.memory.run(MINUTE)
    ask(both)
    both.world.reset()
    both.memory.run(SECOND)
    expect(segments(both.memory).at(-1)?.tcp?.flags).toBe("RA")
  })

  test("is answered at once while that has something to acknowledge: the host sends it again until it gives up", () => {
    const both = connected()
    both.world.vanish()
    both.guest.send("A", "lost")
    both.memory.run(MINUTE)
    segments(both.memory)
    ask(both)
    expectAnswer(both)
    expect(both.world.questions).toBe(0)
  })

  test("is answered at once if it may ask for a window", () => {
    const both = connected({ sockets: { sendBuffer: 1_000, sendBufferSize: 1_000 }, listen: { receiveBuffer: 1_000 } })
    const { memory, guest, world } = both
    world.pause()
    let sent = 0
    // Until the window is shut.
    for (let room = 60_000; room > 0; ) {
      guest.send("A", patternBytes(Math.min(room, 1_000)))
      memory.run(1)
      const last = segments(memory).at(-1)
      if (last?.tcp === undefined) break
      sent = after(guest.sequence, -(last.tcp.acknowledgement ?? 0))
      room = last.tcp.window - sent
    }
    memory.run(MINUTE)
    segments(memory)
    ask(both)
    guest.expect(check.tcp({ flags: "A" }))
  })

  test("with a byte, as old implementations do, is answered at once", () => {
    const both = connected()
    both.memory.run(75 * SECOND)
    both.guest.send("A", "?", { sequence: after(both.guest.sequence, -1) })
    both.guest.expect(check.tcp({ flags: "A", acknowledgement: both.guest.sequence }))
    both.memory.guest.expectNothing()
  })

  test("however often, asks the host for no more than one question a second", () => {
    const both = connected()
    both.memory.run(MINUTE)
    both.world.vanish()
    for (let count = 0; count < 300; count++) {
      ask(both)
      both.memory.run(10)
    }
    expect(both.world.questions).toBe(3)
  })
})

test("a correspondent that vanished is missed by the host's own questions, and the guest hears of it", () => {
  const both = connected()
  const { memory, world } = both
  questions(both, () => both.guest.send("A"))
  world.vanish()
  memory.run(3 * HOUR)
  expect(segments(memory).map(({ tcp }) => tcp?.flags)).toEqual(["RA"])
  expect(memory.leftovers()).toEqual([])
})
