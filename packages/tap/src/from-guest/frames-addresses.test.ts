import { describe, expect, test } from "vitest"
import { Fixture } from "../../test/fixture.ts"
import { GUEST_MAC, ipv4, ipv6, OUR_MAC, pattern, tcpHeader, udp } from "../../test/packets.ts"

const four = { from: "192.0.2.2", to: "198.51.100.7" }
const six = { from: "2001:db8::2", to: "2001:db8:1::7" }
const datagram = (seed = 1, ports: [number, number] = [4000, 53]) => udp(ports, pattern(20, seed))

describe("1. The IPv6 source address of a guest packet is never overwritten: two guest addresses are two sequences, never combined, for IPv4 and IPv6 alike", () => {
  test("IPv6", () => {
    const fixture = new Fixture()
    const sequences = fixture.deliver(
      ipv6(17, datagram(1), six),
      ipv6(17, datagram(2), { ...six, from: "2001:db8::3" }),
      ipv6(17, datagram(3), { ...six, from: "2001:db8::3" }),
      ipv6(17, datagram(4), { ...six, from: "2001:db8:0:1::3" }),
      ipv6(17, datagram(5), six),
    )
    expect(sequences.map((sequence) => [sequence.demiflow, sequence.packets.length])).toEqual([
      ["tap [2001:db8:1::7]:53 → [2001:db8::2]:4000", 1],
      ["tap [2001:db8:1::7]:53 → [2001:db8::3]:4000", 2],
      ["tap [2001:db8:1::7]:53 → [2001:db8:0:1::3]:4000", 1],
      ["tap [2001:db8:1::7]:53 → [2001:db8::2]:4000", 1],
    ])
  })

  test("IPv4", () => {
    const fixture = new Fixture()
    const sequences = fixture.deliver(
      ipv4(17, datagram(1), four),
      ipv4(17, datagram(2), { ...four, from: "192.0.2.3" }),
      ipv4(17, datagram(3), four),
      ipv4(17, datagram(4), four),
    )
    expect(sequences.map((sequence) => [sequence.demiflow, sequence.packets.length])).toEqual([
      ["tap 198.51.100.7:53 → 192.0.2.2:4000", 1],
      ["tap 198.51.100.7:53 → 192.0.2.3:4000", 1],
      ["tap 198.51.100.7:53 → 192.0.2.2:4000", 2],
    ])
  })

  test("a packet in memory is as the guest sent it", () => {
    const fixture = new Fixture()
    const frame = ipv6(17, datagram(), six)
    let bytes: Uint8Array | undefined
    fixture.onSequence = (sequence) => {
      const network = sequence.networkOffset[0]
      bytes = fixture.arena.bytes.slice(network - 14, sequence.endOffset[0])
    }
    fixture.deliver(ipv6(17, datagram(), { ...six, from: "2001:db8::99" }), frame)
    expect(bytes).toEqual(frame)
  })
})

describe("2. Every protocol handler gets the source address of the packets it is handed", () => {
  test.each([
    ["ICMP", ipv4(1, pattern(8), four), "tap 198.51.100.7:0 → 192.0.2.2:0"],
    ["TCP", ipv4(6, tcpHeader([40_000, 80], 1, 2), four), "tap 198.51.100.7:80 → 192.0.2.2:40000"],
    ["UDP", ipv4(17, datagram(), four), "tap 198.51.100.7:53 → 192.0.2.2:4000"],
    ["a protocol nobody has heard of", ipv4(253, pattern(8), four), "tap 198.51.100.7:0 → 192.0.2.2:0"],
    ["ICMPv6", ipv6(58, pattern(8), six), "tap [2001:db8:1::7]:0 → [2001:db8::2]:0"],
    ["UDP over IPv6", ipv6(17, datagram(), six), "tap [2001:db8:1::7]:53 → [2001:db8::2]:4000"],
    [
      "neighbour discovery from nowhere",
      ipv6(58, pattern(8), { from: "::", to: "ff02::1" }),
      "tap [ff02::1]:0 → [::]:0",
    ],
  ])("%s", (_, frame, demiflow) => {
    const [sequence] = new Fixture().deliver(frame)
    expect(sequence.demiflow).toBe(demiflow)
    expect([sequence.sourceMac, sequence.targetMac]).toEqual([GUEST_MAC, OUR_MAC])
  })
})

describe('6. Each connection tracks the guest\'s own address (the tap-side correspondent); "the last address seen" is consulted only to start a connection towards the guest. A guest may use many addresses at once.', () => {
  test("a hundred addresses at once are a hundred sequences, each with its own", () => {
    const sources = Array.from({ length: 50 }, (_, index) => [`10.0.0.${index + 1}`, `2001:db8::1:${index + 1}`]).flat()
    const sequences = new Fixture().deliver(
      ...sources.map((from) =>
        from.includes(":") ? ipv6(17, datagram(), { ...six, from }) : ipv4(17, datagram(), { ...four, from }),
      ),
    )
    expect(sequences.map((sequence) => sequence.demiflow)).toEqual(
      sources.map((from) =>
        from.includes(":") ? `tap [2001:db8:1::7]:53 → [${from}]:4000` : `tap 198.51.100.7:53 → ${from}:4000`,
      ),
    )
  })
})

describe("the last address seen", () => {
  test("is noted by family, and link-local ones apart", () => {
    const { tap, ...rest } = seenBy(
      ipv4(17, datagram(), four),
      ipv6(17, datagram(), six),
      ipv6(17, datagram(), { ...six, from: "fe80::2" }),
      ipv4(17, datagram(), { ...four, from: "192.0.2.9" }),
    )
    expect(rest.sequences).toHaveLength(4)
    expect([tap.lastSeenV4, tap.lastSeenV6, tap.lastSeenLinkLocal].map(String)).toEqual([
      "192.0.2.9",
      "2001:db8::2",
      "fe80::2",
    ])
  })

  test("is never the one that a guest without an address uses", () => {
    const { tap } = seenBy(
      ipv4(17, datagram(), four),
      ipv4(17, datagram(), { from: "0.0.0.0", to: "255.255.255.255" }),
      ipv6(17, datagram(), six),
      ipv6(58, pattern(8), { from: "::", to: "ff02::1" }),
    )
    expect([String(tap.lastSeenV4), String(tap.lastSeenV6)]).toEqual(["192.0.2.2", "2001:db8::2"])
  })

  test("is known to a handler as it gets the packet", () => {
    const fixture = new Fixture()
    const seen: string[] = []
    fixture.onSequence = () => seen.push(`${fixture.tap.lastSeenV4} ${fixture.tap.guestMac}`)
    fixture.deliver(
      ipv4(17, datagram(), four),
      ipv4(17, datagram(), { ...four, from: "192.0.2.3", mac: "02:00:00:00:00:03" }),
    )
    expect(seen).toEqual(["192.0.2.2 02:00:00:00:00:02", "192.0.2.3 02:00:00:00:00:03"])
  })

  test("is not taken from packets that are dropped", () => {
    const { tap } = seenBy(ipv4(17, datagram(), { ...four, from: "224.0.0.1", mac: "02:00:00:00:00:09" }))
    expect([String(tap.lastSeenV4), String(tap.guestMac)]).toEqual(["0.0.0.0", "ff:ff:ff:ff:ff:ff"])
  })

  function seenBy(...frames: Uint8Array[]) {
    const fixture = new Fixture()
    return { sequences: fixture.deliver(...frames), tap: fixture.tap }
  }
})
