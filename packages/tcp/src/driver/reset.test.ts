import { Address } from "@demiflow/core"
import { check } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { after, bench, type Connected, connected, SERVER, scripted, segments } from "../test-support/bench.ts"

const WINDOW = 0xffff

/** Expects that the connection still exists: payload gets through both ways. */
function expectAlive({ memory, guest, world }: Connected): void {
  guest.send("A", "up")
  memory.run()
  expect(world.receivedText.endsWith("up")).toBe(true)
  world.write("down")
  guest.expectSome(check.payload("down"))
}

/** Expects exactly one frame: an acknowledgement of the expected number. */
function expectChallenge({ memory, guest }: Connected): void {
  const answers = segments(memory)
  expect(answers).toHaveLength(1)
  expect(answers[0].tcp).toMatchObject({
    flags: "A",
    sequence: guest.acknowledgement,
    acknowledgement: guest.sequence,
  })
}

describe("a reset from the guest (RFC 5961, section 3.2)", () => {
  test("with the very next sequence number ends the connection, and is not answered", () => {
    const { memory, guest, world } = connected()
    guest.send("R")
    memory.guest.expectNothing()
    expect(world.isReset).toBe(true)
    expect(memory.leftovers()).toEqual([])
  })

  test.each([1, 1_000, WINDOW - 1])("%i bytes further inside the window is challenged", (ahead) => {
    const both = connected()
    both.guest.send("R", "", { sequence: after(both.guest.sequence, ahead) })
    expectChallenge(both)
    expectAlive(both)
  })

  test.each([-1, -50_000, WINDOW + 1_000, 0x7fff_0000])("%i bytes off, outside the window, is dropped", (off) => {
    const both = connected()
    const { memory, guest } = both
    guest.send("R", "", { sequence: after(guest.sequence, off) })
    memory.guest.expectNothing()
    expect(memory.drops.get("tcp: outside the window")).toBe(1)
    expectAlive(both)
  })

  test("that acknowledges something ends the connection by its own number only", () => {
    const { memory, guest, world } = connected()
    guest.send("RA", "", { acknowledgement: after(guest.acknowledgement, 5_000) })
    memory.guest.expectNothing()
    expect(world.isReset).toBe(true)
  })

  test("with the number that the guest was last sent ends it as well, while the correspondent's acknowledgement is on its way", () => {
    const { memory, guest, world } = connected({ sockets: { rtt: 10_000 } })
    const acknowledged = guest.sequence
    guest.send("A", new Uint8Array(1_000))
    memory.run(6_000)
    expect(world.received).toHaveLength(1_000)
    expect(segments(memory).every(({ tcp }) => tcp?.acknowledgement === acknowledged)).toBe(true)
    // The guest has lost the connection, and answers a segment of it (RFC 9293, section 3.10.7.1).
    guest.send("R", "", { sequence: acknowledged })
    memory.run(10_000)
    expect(world.isReset).toBe(true)
    expect(memory.leftovers()).toEqual([])
  })

  test("takes what is held for the host along", () => {
    const { memory, guest, world } = connected({ sockets: { sendBuffer: 500 }, listen: { receiveBuffer: 100 } })
    world.pause()
    guest.send("A", new Uint8Array(1_400))
    memory.run(1)
    guest.send("R")
    memory.run()
    expect(world.isReset).toBe(true)
    expect(memory.leftovers()).toEqual([])
  })
})

describe("a SYN from the guest on a connection (RFC 5961, section 4.2)", () => {
  test.each([-1, 0, 1_000, 1_000_000])("is challenged, %i bytes off", (off) => {
    const both = connected()
    both.guest.send("S", "", { sequence: after(both.guest.sequence, off) })
    expectChallenge(both)
    expectAlive(both)
  })

  test("that acknowledges something is challenged as well", () => {
    const both = connected()
    both.guest.send("SA", "", { sequence: both.guest.sequence })
    expectChallenge(both)
    expectAlive(both)
  })

  test("of a guest that knows nothing of the connection ends it by the reset that the challenge brings", () => {
    const { memory, guest, world } = connected()
    guest.send("S", "", { sequence: 123_456 })
    const challenge = guest.expect(check.tcp({ flags: "A" }))
    guest.send("R", "", { sequence: challenge.tcp?.acknowledgement })
    memory.run()
    expect(world.isReset).toBe(true)
    guest.sequence = 123_456
    guest.send("S")
    guest.expect(check.tcp({ flags: "SA", acknowledgement: 123_457 }))
  })
})

describe("an acknowledgement (RFC 5961, section 5.2)", () => {
  test.each([1, 1_000, 0x7fff_ffff])("of what was not sent yet, %i bytes too far, is challenged", (ahead) => {
    const both = connected()
    const { guest, world } = both
    guest.send("A", "bad", { acknowledgement: after(guest.acknowledgement, ahead), sequence: guest.sequence })
    expectChallenge(both)
    expect(world.receivedText).toBe("")
    expectAlive(both)
  })

  test("older than the largest window ever was is challenged, and its payload dropped", () => {
    const both = connected({ window: 1_000 })
    const { guest, world } = both
    guest.send("A", "bad", { acknowledgement: after(guest.acknowledgement, -1_001), sequence: guest.sequence })
    expectChallenge(both)
    expect(world.receivedText).toBe("")
    expectAlive(both)
  })

  test("that is merely late does not keep its payload from being taken", () => {
    const { memory, guest, world } = connected({ window: 1_000 })
    guest.send("A", "good", { acknowledgement: after(guest.acknowledgement, -1_000) })
    memory.run(1)
    expect(world.receivedText).toBe("good")
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
  })

  test("that is missing leaves a segment without effect", () => {
    const { memory, guest, world } = connected()
    guest.send("P", "bad", { sequence: guest.sequence })
    guest.send("F", "", { sequence: guest.sequence })
    memory.run(1)
    memory.guest.expectNothing()
    expect(world.receivedText).toBe("")
    expect(world.isEnded).toBe(false)
  })
})

describe("challenges", () => {
  test("are sent at most twice a second on a connection, whatever asks for them", () => {
    const { memory, guest } = connected()
    let answers = 0
    for (let turn = 0; turn < 100; turn++) {
      guest.send("R", "", { sequence: after(guest.sequence, 100) })
      guest.send("S", "", { sequence: 1 })
      guest.send("A", "", { acknowledgement: after(guest.acknowledgement, 100) })
      memory.run(20)
      answers += segments(memory).length
    }
    expect(answers).toBe(4)
  })

  test("of one connection don't depend on another's: a limit that is shared gives it away to an attacker", () => {
    const memory = bench()
    const guests = [1, 2, 3].map((sourcePort) => scripted(memory, { sourcePort }))
    for (const guest of guests) guest.connect()
    for (const guest of guests) guest.send("S", "", { sequence: 1 })
    expect(segments(memory)).toHaveLength(3)
  })
})

describe("segments that belong to no connection (RFC 9293, section 3.10.7.1)", () => {
  test.each([
    ["an acknowledgement", "A", "", { flags: "R", sequence: 5_000, acknowledgement: 0 }],
    ["payload", "PA", "hello", { flags: "R", sequence: 5_000, acknowledgement: 0 }],
    ["a FIN", "FA", "", { flags: "R", sequence: 5_000, acknowledgement: 0 }],
    ["a SYN with acknowledgement", "SA", "", { flags: "R", sequence: 5_000, acknowledgement: 0 }],
    ["payload alone", "P", "hello", { flags: "RA", sequence: 0, acknowledgement: 1_005 }],
    ["a FIN alone", "F", "", { flags: "RA", sequence: 0, acknowledgement: 1_001 }],
    ["SYN and FIN", "SF", "", { flags: "RA", sequence: 0, acknowledgement: 1_002 }],
    ["no flags at all", "", "", { flags: "RA", sequence: 0, acknowledgement: 1_000 }],
  ])("are refused: %s", (_, flags, content, answer) => {
    const memory = bench()
    const guest = scripted(memory)
    guest.acknowledgement = 5_000
    guest.send(flags, content)
    memory.guest.expect(check.tcp({ ...answer, window: 0 }), check.payloadLength(0))
    memory.guest.expectNothing()
    expect(memory.drops.get("tcp: no connection")).toBe(1)
    expect(memory.leftovers()).toEqual([])
  })

  test.each(["R", "RA", "SR", "FRA"])("are never refused if they are resets themselves: %s", (flags) => {
    const memory = bench()
    scripted(memory).send(flags)
    memory.guest.expectNothing()
    expect(memory.drops.get("tcp: no connection")).toBe(1)
  })

  test.each(["224.0.0.1", "255.255.255.255", "ff02::1"])("are not answered in the name of %s", (target) => {
    const memory = bench()
    scripted(memory, { target }).send("A", "hello")
    scripted(memory, { target, sourcePort: 2 }).send("S")
    memory.guest.expectNothing()
    expect(memory.sockets.opened).toBe(0)
  })
})

describe("a reset to the guest", () => {
  test("has the number that the guest expects, whether it got what is in flight or not", () => {
    const { memory, guest, world } = connected()
    world.write("in flight")
    const data = memory.guest.expect(check.payload("in flight"))
    world.reset()
    const numbers = segments(memory).map(({ tcp }) => [tcp?.flags, tcp?.sequence])
    const first = data.tcp?.sequence
    expect(numbers).toEqual([
      ["RA", first],
      ["RA", after(first, 9)],
    ])
    expect(guest.target.equals(Address.parse(SERVER))).toBe(true)
    expect(memory.leftovers()).toEqual([])
  })

  test("is the last thing that is said on a connection", () => {
    const { memory, guest } = connected()
    memory.sockets.send = () => -104
    // One is answered at the end of the turn; for the other, we find out that the host has reset the connection.
    guest.send("A", "abc", { sequence: after(guest.sequence, -3) })
    guest.send("A", "abc")
    memory.run(10)
    expect(segments(memory).map(({ tcp }) => tcp?.flags)).toEqual(["RA"])
  })

  test("follows when the host's socket breaks, with the error of any call", () => {
    for (const call of ["send", "peek"] as const) {
      const { memory, guest, world } = connected()
      memory.sockets[call] = () => -32
      if (call === "send") guest.send("A", "abc")
      else world.write("abc")
      memory.run(1)
      expect(segments(memory).map(({ tcp }) => tcp?.flags)).toEqual(["RA"])
      expect(world.isReset).toBe(true)
      expect(memory.leftovers()).toEqual([])
    }
  })

  test("ends all connections when the stack goes down", () => {
    const memory = bench()
    const guests = [1, 2, 3].map((sourcePort) => scripted(memory, { sourcePort }))
    for (const guest of guests) guest.connect()
    memory.run()
    memory.stack.abortFlows()
    expect(segments(memory).map(({ tcp }) => tcp?.flags)).toEqual(["RA", "RA", "RA"])
    expect(memory.leftovers()).toEqual([])
  })
})
