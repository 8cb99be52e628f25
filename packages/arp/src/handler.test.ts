import { Address, CHECKSUM_DONE, Demiflow, EtherType, Interface, MacAddress } from "@demiflow/core"
import { build, buildPacket, check, memoryStack, payload, RecordingLog } from "@demiflow/testkit"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { ARP_CAPTURES } from "./captures.fixture.ts"
import { type ArpOptions, arp } from "./index.ts"

const GUEST = "192.0.2.2"
const GATEWAY = "192.0.2.1"
const NOBODY = "0.0.0.0"
/** How long the neighbour table keeps an announced address, milliseconds. */
const ADDRESS_LIFETIME = 300_000

function setUp(options: ArpOptions = {}) {
  const log = new RecordingLog()
  const plugin = arp({ guestAddress: Address.parse(GUEST), ourAddresses: [Address.parse(GATEWAY)], ...options })
  const memory = memoryStack([plugin], { log })
  const { guest, drops, tap } = memory
  const send = (senderAddress: string, targetAddress: string, operation: "request" | "reply" = "request") =>
    guest.send(build.arp({ operation, senderMac: guest.mac, senderAddress, targetAddress }))
  /** Returns true if the request is answered; checks the answer. */
  const answers = (senderAddress: string, targetAddress: string): boolean => {
    send(senderAddress, targetAddress)
    const frames = guest.takeAll()
    if (frames.length === 0) return false
    expect(frames).toHaveLength(1)
    expect(frames[0].problems).toEqual([])
    expect(frames[0].ethernet).toMatchObject({ source: tap.ourMac, target: guest.mac })
    expect(frames[0].arp).toEqual({
      operation: 2,
      senderMac: tap.ourMac,
      senderAddress: Address.parse(targetAddress),
      targetMac: guest.mac,
      targetAddress: Address.parse(senderAddress),
    })
    return true
  }
  return { memory, tap, guest, drops, log, send, answers }
}

// RFC 826 reception (reply), RFC 826 reception (request)
describe("requests (RFC 826)", () => {
  test.each([GATEWAY, "192.0.2.77", "198.51.100.1", "10.0.0.1"])("for %s are answered with our address", (address) => {
    expect(setUp().answers(GUEST, address)).toBe(true)
  })

  test.each(["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"])(
    "for %s are not: no station has it",
    (address) => {
      expect(setUp().answers(GUEST, address)).toBe(false)
    },
  )

  test("for the assigned address are answered to nobody", () => {
    const { answers } = setUp()
    expect([answers(GUEST, GUEST), answers("192.0.2.9", GUEST), answers(NOBODY, GUEST)]).toEqual([false, false, false])
  })

  test("go to whom they name as sender", () => {
    const { guest } = setUp()
    const senderMac = "02:00:00:00:00:77"
    guest.send(build.arp({ operation: "request", senderMac, senderAddress: GUEST, targetAddress: GATEWAY }))
    expect(String(guest.expect(check.arp({ operation: 2 })).ethernet?.target)).toBe(senderMac)
  })
})

describe("neighbours of the host", () => {
  const NEIGHBOUR = "192.0.2.77"
  const MAC = MacAddress.parse("02:00:00:00:00:77")
  const OTHER_MAC = MacAddress.parse("02:00:00:00:00:78")
  const BROADCAST = MacAddress.parse("ff:ff:ff:ff:ff:ff")

  function withNeighbour() {
    const memory = setUp()
    const { guest, tap, send, answers } = memory
    answers(GUEST, GATEWAY)
    const notice = (address: string, mac: MacAddress) => tap.hostNeighbours.notice(Address.parse(address), mac)
    const sent = () => {
      tap.flush()
      return guest.takeAll().map(({ problems, ethernet, arp }) => {
        expect(problems).toEqual([])
        return { from: ethernet?.source, to: ethernet?.target, ...arp }
      })
    }
    const ask = (address: string) => {
      send(GUEST, address)
      return sent()
    }
    return { ...memory, notice, sent, ask }
  }

  // RFC 5227 2.3
  test("are found at their own Ethernet addresses, and announced (RFC 5227, section 3)", () => {
    const { notice, sent, ask, tap, guest } = withNeighbour()
    const address = Address.parse(NEIGHBOUR)
    notice(NEIGHBOUR, MAC)
    const announcement = { senderMac: MAC, senderAddress: address, targetAddress: address, operation: 1 }
    const ours = { from: tap.ourMac }
    expect(sent()).toEqual([{ ...ours, to: BROADCAST, ...announcement, targetMac: new MacAddress() }])
    const answer = { operation: 2, senderMac: MAC, senderAddress: address }
    const toGuest = { to: guest.mac, targetMac: guest.mac, targetAddress: Address.parse(GUEST) }
    expect(ask(NEIGHBOUR)).toEqual([{ ...ours, ...answer, ...toGuest }])
    notice(NEIGHBOUR, OTHER_MAC)
    expect(sent()).toMatchObject([{ to: BROADCAST, senderMac: OTHER_MAC, senderAddress: address }])
    notice(NEIGHBOUR, OTHER_MAC)
    expect(sent()).toEqual([])
  })

  test("that have an address of the guest's are neither announced nor answered for", () => {
    const { notice, sent, ask, send } = withNeighbour()
    notice(GUEST, MAC)
    send("192.0.2.9", "192.0.2.9")
    expect(sent()).toEqual([])
    notice("192.0.2.9", MAC)
    expect([sent(), ask(GUEST), ask("192.0.2.9")]).toEqual([[], [], []])
  })

  test("stay where they are when what we said of them comes back", () => {
    const { notice, sent, ask, guest, log } = withNeighbour()
    notice(NEIGHBOUR, MAC)
    notice(GATEWAY, OTHER_MAC)
    sent()
    for (const [senderMac, senderAddress] of [
      [MAC, NEIGHBOUR],
      [OTHER_MAC, GATEWAY],
    ] as const) {
      guest.send(build.arp({ operation: "request", senderMac, senderAddress, targetAddress: senderAddress }))
    }
    expect([ask(NEIGHBOUR), log.messages("warning")]).toMatchObject([[{ senderMac: MAC }], []])
  })

  test("that are the gateway have us ask from there", () => {
    const { notice, sent, memory } = withNeighbour()
    notice(GATEWAY, MAC)
    sent()
    memory.tap.begin(Demiflow.of(Interface.tap, Address.parse(GATEWAY), 1, Address.parse("192.0.2.99"), 2), 17, 8)
    expect(sent()).toMatchObject([{ operation: 1, senderMac: MAC, senderAddress: Address.parse(GATEWAY) }])
  })
})

describe("addresses of the guest's own", () => {
  test("that it announced are not answered for (RFC 5227, section 2.3)", () => {
    const { answers } = setUp()
    expect(answers(GUEST, "192.0.2.9")).toBe(true)
    expect(answers("192.0.2.9", "192.0.2.9")).toBe(false)
    expect(answers(GUEST, "192.0.2.9")).toBe(false)
  })

  // RFC 826 reception (request), RFC 826 reception (sender)
  test("that it used as sender are not answered for, requests and replies alike", () => {
    const { answers, send } = setUp()
    expect(answers("192.0.2.9", GATEWAY)).toBe(true)
    send("192.0.2.10", GUEST, "reply")
    expect([answers(GUEST, "192.0.2.9"), answers(GUEST, "192.0.2.10"), answers(GUEST, "192.0.2.11")]).toEqual([
      false,
      false,
      true,
    ])
  })

  test("are forgotten when they were not seen for long", () => {
    const { answers, memory } = setUp()
    answers("192.0.2.9", GATEWAY)
    memory.run(ADDRESS_LIFETIME - 1)
    expect(answers(GUEST, "192.0.2.9")).toBe(false)
    answers("192.0.2.9", GATEWAY)
    memory.run(ADDRESS_LIFETIME - 1)
    expect(answers(GUEST, "192.0.2.9")).toBe(false)
    memory.run(1)
    expect(answers(GUEST, "192.0.2.9")).toBe(true)
    expect(answers("192.0.2.7", GUEST)).toBe(false)
  })

  test("are forgotten when the guest goes", () => {
    const { answers, memory, log } = setUp()
    answers("192.0.2.9", GATEWAY)
    answers(GATEWAY, "192.0.2.9")
    memory.stack.stop()
    memory.tap.forgetGuest()
    memory.stack.start()
    expect([answers(GUEST, "192.0.2.9"), answers("192.0.2.7", GUEST)]).toEqual([true, false])
    answers(GATEWAY, "192.0.2.9")
    expect(log.messages("warning")).toHaveLength(2)
  })

  test("are a limited number", () => {
    const { answers, memory } = setUp()
    const address = (index: number) => Address.fromV4(0x0a000000 + index).toString()
    for (let index = 1; index <= 3000; index++) answers(address(index), GATEWAY)
    const known = Array.from({ length: 3000 }, (_, index) =>
      memory.tap.neighbours.isAnnounced(Address.parse(address(index + 1))),
    )
    expect(known.filter((isKnown) => isKnown).length).toBeLessThanOrEqual(1024)
    expect(answers(GUEST, address(3000))).toBe(false)
  })
})

describe("probes (RFC 5227, section 2.1.1)", () => {
  // RFC 826 reception (ours), RFC 5227 2.1.1 (others)
  test("are answered only for what is really ours", () => {
    const { answers } = setUp()
    expect([answers(NOBODY, GATEWAY), answers(NOBODY, GUEST), answers(NOBODY, "192.0.2.77")]).toEqual([
      true,
      false,
      false,
    ])
  })

  // RFC 5227 2.1.1
  test("claim nothing yet: the guest may still ask which station has the address", () => {
    const { answers } = setUp()
    answers(NOBODY, "192.0.2.77")
    expect(answers(GUEST, "192.0.2.77")).toBe(true)
  })
})

describe("what clients send while they take an address", () => {
  const answered = (capture: string, options: ArpOptions) => {
    const { guest, drops } = setUp(options)
    const packet = payload(new Uint8Array(Buffer.from(capture, "hex")))
    guest.send(build.ethernet({ source: "00:00:5e:00:53:02", etherType: EtherType.arp }), packet)
    const frames = guest.takeAll()
    expect(drops.total).toBe(0)
    return frames.map((frame) => `${frame.arp?.senderAddress} to ${frame.ethernet?.target}`)
  }

  test.each(["dhcpcdProbe", "dhcpcdAnnouncement", "networkManagerAnnouncement"] as const)(
    "%s is left alone, also where another address was assigned",
    (name) => {
      expect(answered(ARP_CAPTURES[name], {})).toEqual([])
      expect(answered(ARP_CAPTURES[name], { guestAddress: Address.parse("192.0.2.9") })).toEqual([])
    },
  )

  test("a request for the gateway is answered", () => {
    expect(answered(ARP_CAPTURES.linuxRequest, {})).toEqual(["192.0.2.1 to 00:00:5e:00:53:02"])
  })
})

describe("the guest is solicited at the start", () => {
  test("by its assigned address, so that it shows its Ethernet address", () => {
    const { guest, tap } = setUp({ asksForGuest: true })
    const frame = guest.expect(check.arp({ operation: 1 }))
    expect(String(frame.ethernet?.target)).toBe("ff:ff:ff:ff:ff:ff")
    expect(frame.arp).toEqual({
      operation: 1,
      senderMac: tap.ourMac,
      senderAddress: Address.parse(GATEWAY),
      targetMac: new MacAddress(),
      targetAddress: Address.parse(GUEST),
    })
  })

  test("not without an address, its or ours, nor when it was seen", () => {
    setUp({ asksForGuest: true, guestAddress: undefined }).guest.expectNothing()
    setUp({ asksForGuest: true, ourAddresses: [] }).guest.expectNothing()
    const { guest, memory, send } = setUp({ asksForGuest: true })
    send(GUEST, GATEWAY, "reply")
    guest.takeAll()
    memory.stack.stop()
    memory.stack.start()
    guest.expectNothing()
  })
})

test("the guest is asked for when its link was gone, as it may be another one", () => {
  const { guest, memory, send } = setUp({ asksForGuest: true })
  send(GUEST, GATEWAY)
  guest.takeAll()
  memory.stack.reconnected()
  memory.run()
  expect(guest.takeAll().map((frame) => String(frame.arp?.targetAddress))).toEqual([GUEST])
})

describe("the neighbour table", () => {
  const other = MacAddress.parse("02:00:00:00:00:0b")
  const stationOf = ({ memory }: ReturnType<typeof setUp>, address: string) => {
    const { tap, guest } = memory
    const side = Demiflow.of(Interface.tap, Address.parse(GATEWAY), 53, Address.parse(address), 4000)
    guest.takeAll()
    tap.end(tap.begin(side, 253, 8), 8, CHECKSUM_DONE)
    tap.flush()
    return guest.takeAll()
  }
  const announce = (setup: ReturnType<typeof setUp>, senderMac: MacAddress, targetAddress: string) => {
    const packet = build.arp({ operation: "request", senderMac, senderAddress: GUEST, targetAddress })
    setup.guest.send(build.ethernet({ source: String(senderMac), etherType: EtherType.arp }), packet)
  }

  test("has the address that a station speaks for, and moves it when another one announces it", () => {
    const setup = setUp()
    setup.send(GUEST, GATEWAY)
    const [before] = stationOf(setup, GUEST)
    announce(setup, other, GUEST)
    const [after] = stationOf(setup, GUEST)
    expect([before, after].map((frame) => String(frame.ethernet?.target))).toEqual([
      String(setup.guest.mac),
      String(other),
    ])
  })

  test("has us ask for an address that isn't known, from the first of ours", () => {
    const setup = setUp()
    const [question, packet] = stationOf(setup, "192.0.2.77")
    expect(question.arp).toMatchObject({ operation: 1, senderAddress: Address.parse(GATEWAY) })
    expect([String(question.arp?.targetAddress), String(question.ethernet?.target)]).toEqual([
      "192.0.2.77",
      "ff:ff:ff:ff:ff:ff",
    ])
    expect(packet.ip?.target).toEqual(Address.parse("192.0.2.77"))
  })

  test("has us ask the station alone that was silent for a minute", () => {
    const setup = setUp()
    setup.send(GUEST, GATEWAY)
    setup.memory.run(60_000)
    const [question, packet] = stationOf(setup, GUEST)
    const mac = String(setup.guest.mac)
    expect([question.arp?.operation, String(question.ethernet?.target)]).toEqual([1, mac])
    expect(String(packet.ethernet?.target)).toBe(mac)
  })
})

describe("a conflict with an address of ours", () => {
  test("is logged once, and the address stays ours", () => {
    const { answers, log } = setUp()
    answers(GATEWAY, GATEWAY)
    answers(GATEWAY, "192.0.2.9")
    expect(log.messages("warning")).toEqual([expect.stringContaining(GATEWAY)])
    expect(answers(GUEST, GATEWAY)).toBe(true)
  })
})

// RFC 826 reception (hardware), RFC 826 reception (protocol)
describe("what is malformed is counted", () => {
  const request = () => {
    const mac = "02:00:00:00:00:02"
    const fields = { senderMac: mac, senderAddress: GUEST, targetAddress: GATEWAY }
    return buildPacket(build.ethernet({ source: mac }), build.arp({ operation: "request", ...fields }))
  }
  const dropped = (frame: Uint8Array) => {
    const { guest, drops } = setUp()
    guest.sendFrame(frame)
    guest.expectNothing()
    return drops.entries()
  }

  test.each([
    [14, 1, "arp: hardware type"],
    [15, 6, "arp: hardware type"],
    [16, 0x86, "arp: protocol type"],
    [18, 8, "arp: hardware type"],
    [19, 16, "arp: protocol type"],
    [21, 0, "arp: operation"],
    [21, 3, "arp: operation"],
    [22, 0x01, "arp: sender"],
  ])("byte %i as %i: %s", (position, value, reason) => {
    const frame = request()
    frame[position] = value
    expect(dropped(frame)).toEqual([[reason, 1]])
  })

  test("a sender without Ethernet address", () => {
    const frame = request()
    frame.fill(0, 22, 28)
    expect(dropped(frame)).toEqual([["arp: sender", 1]])
  })

  test("every length below the packet's", () => {
    const { guest, drops } = setUp()
    for (let length = 14; length < 42; length++) guest.sendFrame(request().subarray(0, length))
    guest.expectNothing()
    expect(drops.entries()).toEqual([["arp: truncated", 28]])
  })

  test("padding is no mistake", () => {
    const { guest } = setUp()
    const padded = new Uint8Array(60)
    padded.set(request())
    guest.sendFrame(padded)
    guest.expect(check.arp({ operation: 2 }))
  })

  test("any change is answered, passed over or counted, and never throws", () => {
    const { guest, drops } = setUp()
    const frame = request()
    const changes = fc.array(fc.tuple(fc.integer({ min: 14, max: frame.length - 1 }), fc.nat(255)), { maxLength: 5 })
    fc.assert(
      fc.property(changes, fc.integer({ min: 14, max: frame.length }), (mutations, length) => {
        const bytes = frame.slice(0, length)
        for (const [position, value] of mutations) if (position < length) bytes[position] = value
        const before = drops.total
        guest.sendFrame(bytes)
        const answered = guest.takeAll()
        expect(answered.length + drops.total - before).toBeLessThanOrEqual(1)
        for (const answer of answered) expect(answer.arp?.operation).toBe(2)
      }),
    )
  })
})
