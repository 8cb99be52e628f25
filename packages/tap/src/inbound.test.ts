import { Segmentation } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { Fixture } from "../test/fixture.ts"
import {
  ethernet,
  GUEST_MAC,
  hasRightChecksum,
  ipv4,
  ipv6,
  join,
  macBytes,
  OUR_MAC,
  parse,
  pattern,
  tcpHeader,
  u16,
  udp,
} from "../test/packets.ts"

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

describe("2. Every protocol handler is told the source address of the packets it is handed", () => {
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

describe("sequences", () => {
  test("hold neighbours with everything that handlers need to know of each", () => {
    const fixture = new Fixture()
    const [sequence, ...others] = fixture.deliver(
      ipv4(17, datagram(1), four),
      ipv4(17, datagram(2), { ...four, hopLimit: 3, padding: 18 }),
      ipv4(17, datagram(3), { ...four, options: [1, 1, 1, 0] }),
    )
    expect(others).toEqual([])
    expect(sequence.packets.map((packet) => packet.transport)).toEqual([datagram(1), datagram(2), datagram(3)])
    expect(sequence.packets.map((packet) => packet.hopLimit)).toEqual([64, 3, 64])
    expect(sequence).toMatchObject({ etherType: 0x0800, protocol: 17 })
  })

  test("tell how each packet is to be treated on its way", () => {
    const v4 = [
      ipv4(17, datagram(1), { ...four, trafficClass: 0xb8, flagsAndOffset: 0x4000 }),
      ipv4(17, datagram(2), { ...four, trafficClass: 0x03 }),
    ]
    const v6 = [ipv6(17, datagram(1), { ...six, trafficClass: 0xb9 }), ipv6(17, datagram(2), six)]
    const marks = new Fixture()
      .deliver(...v4, ...v6)
      .map(({ packets }) => packets.map(({ trafficClass, dontFragment }) => [trafficClass, dontFragment]))
    expect(marks).toEqual([
      [
        [0xb8, true],
        [0x03, false],
      ],
      // No router fragments IPv6 (RFC 8200, section 5).
      [
        [0xb9, true],
        [0, true],
      ],
    ])
  })

  test.each<[string, Uint8Array]>([
    ["destination", ipv4(17, datagram(), { ...four, to: "198.51.100.8" })],
    ["source port", ipv4(17, datagram(1, [4001, 53]), four)],
    ["destination port", ipv4(17, datagram(1, [4000, 54]), four)],
    ["protocol", ipv4(6, datagram(), four)],
    ["Ethernet source", ipv4(17, datagram(), { ...four, mac: "02:00:00:00:00:03" })],
    ["version of IP", ipv6(17, datagram(), six)],
  ])("end where the %s changes", (_, other) => {
    const frames = [ipv4(17, datagram(), four), other, ipv4(17, datagram(), four)]
    expect(new Fixture().deliver(...frames)).toHaveLength(3)
  })

  test("end where any word of an IPv6 address changes", () => {
    const addresses = ["2001:db9::2", "2001:db8:0:1::2", "2001:db8::1:0:0:2", "2001:db8::3"]
    for (const address of addresses) {
      for (const end of ["from", "to"]) {
        const same = { from: "2001:db8::2", to: "2001:db8::2" }
        const frames = [ipv6(17, datagram(), same), ipv6(17, datagram(), { ...same, [end]: address })]
        expect(new Fixture().deliver(...frames)).toHaveLength(2)
      }
    }
  })

  test("end between an IPv6 address and the IPv4 address that it ends with", () => {
    const frames = [
      ipv6(17, datagram(), { from: "64:ff9b::192.0.2.2", to: "64:ff9b::198.51.100.7" }),
      ipv4(17, datagram(), four),
    ]
    expect(new Fixture().deliver(...frames).map((sequence) => sequence.etherType)).toEqual([0x86dd, 0x0800])
  })

  test("of a protocol without ports are of one packet each", () => {
    const frames = [1, 2, 3].map((seed) => ipv4(1, pattern(16, seed), four))
    const sequences = new Fixture().deliver(...frames)
    expect(sequences.map((sequence) => sequence.packets.length)).toEqual([1, 1, 1])
  })

  test("may be changed by a handler without harm to the next one", () => {
    const fixture = new Fixture()
    fixture.onSequence = (sequence) => {
      sequence.demiflow.correspondentAddress.word3 = 1
      sequence.demiflow.forwardingPort = 9
    }
    fixture.deliver(ipv4(17, datagram(), four))
    fixture.onSequence = undefined
    expect(fixture.deliver(ipv4(17, datagram(), four))[0].demiflow).toBe("tap 198.51.100.7:53 → 192.0.2.2:4000")
  })

  test("of a transport header too short for ports are handed over as they are", () => {
    const [sequence] = new Fixture().deliver(ipv4(17, Uint8Array.of(1, 2, 3), four))
    expect(sequence).toMatchObject({ demiflow: "tap 198.51.100.7:0 → 192.0.2.2:0", protocol: 17 })
    expect(sequence.packets[0].transport).toHaveLength(3)
  })

  test("carry the segment size of what was left together, and whether the checksum needs a look", () => {
    const fixture = new Fixture()
    fixture.send(ipv4(17, datagram(1), four))
    fixture.sendMarked(ipv4(17, datagram(2), four), { segmentation: Segmentation.udp, segmentSize: 10 })
    fixture.sendMarked(ipv4(17, datagram(3), four), { checksumStart: 34, segmentSize: 10 })
    const [sequence] = fixture.deliver()
    expect(sequence.packets.map(({ segmentSize, trusted }) => [segmentSize, trusted])).toEqual([
      [0, false],
      [10, false],
      [0, true],
    ])
  })
})

describe("frames that aren't IP", () => {
  test("are a sequence each, without addresses", () => {
    const fixture = new Fixture()
    const arp = ethernet(0x0806, pattern(28))
    const sequences = fixture.deliver(ipv4(17, datagram(), four), arp, arp)
    expect(sequences.slice(1)).toMatchObject([
      { etherType: 0x0806, protocol: -1, demiflow: "tap [::]:0 → [::]:0", sourceMac: GUEST_MAC, targetMac: OUR_MAC },
      { etherType: 0x0806, protocol: -1 },
    ])
    expect(sequences[1].packets[0].transport).toEqual(pattern(28))
    expect(String(fixture.tap.lastSeenV4)).toBe("192.0.2.2")
  })

  test("that no handler claims are counted", () => {
    const fixture = new Fixture()
    fixture.deliver(ethernet(0x88cc, pattern(50)))
    expect(fixture.drops.entries()).toEqual([["stack: no handler", 1]])
  })
})

describe("the guest's Ethernet address", () => {
  test("is broadcast until it is known, and then the last one seen", () => {
    const fixture = new Fixture()
    expect(fixture.tap.guestMac.isBroadcast).toBe(true)
    fixture.deliver(ethernet(0x0806, pattern(28), "02:00:00:00:00:07"))
    expect(String(fixture.tap.guestMac)).toBe("02:00:00:00:00:07")
    fixture.deliver(ipv4(17, datagram(), four))
    expect(String(fixture.tap.guestMac)).toBe(GUEST_MAC)
  })
})

describe("IPv6 extension headers", () => {
  const hopByHop = (next: number, ...options: number[]) => extension(next, [0x05, 2, 0, 0, ...options])
  const extension = (next: number, body: number[]) => {
    const length = Math.ceil((2 + body.length) / 8) * 8
    const bytes = new Uint8Array(length)
    bytes.set([next, length / 8 - 1, ...body])
    return bytes
  }
  const padded = (next: number) => extension(next, [1, 4, 0, 0, 0, 0])

  test.each<[string, number, Uint8Array]>([
    ["hop-by-hop options", 0, hopByHop(17, 1, 0)],
    ["destination options", 60, padded(17)],
    ["destination options of several units", 60, extension(17, [0x1e, 18, ...new Array<number>(18).fill(7), 0, 0])],
    ["a routing header with no segments left", 43, extension(17, [0, 0, 0, 0, 0, 0])],
    ["all of them", 0, join(hopByHop(60, 1, 0), padded(43), extension(60, [0, 0, 0, 0, 0, 0]), padded(17))],
    ["a fragment header of the only fragment", 44, Uint8Array.of(17, 0, 0, 0, 1, 2, 3, 4)],
    ["... behind options", 60, join(padded(44), Uint8Array.of(17, 0, 0, 0, 1, 2, 3, 4))],
  ])("%s", (_, next, headers) => {
    const fixture = new Fixture()
    const [sequence] = fixture.deliver(ipv6(next, join(headers, datagram()), six))
    expect(fixture.drops.entries()).toEqual([])
    expect(sequence).toMatchObject({ protocol: 17, demiflow: "tap [2001:db8:1::7]:53 → [2001:db8::2]:4000" })
    expect(sequence.packets[0].transport).toEqual(datagram())
  })

  test.each<[string, string, number, Uint8Array]>([
    ["beyond the packet", "extension header cut off", 60, Uint8Array.of(17, 5, 0, 0, 0, 0, 0, 0)],
    ["of less than eight bytes", "extension header cut off", 60, Uint8Array.of(17, 0, 0)],
    ["cut off fragment header", "extension header cut off", 44, Uint8Array.of(17, 0, 0, 1, 0)],
    ["hop-by-hop options further back", "extension header out of place", 60, join(padded(0), padded(17))],
    ["hop-by-hop options twice", "extension header out of place", 0, join(padded(0), padded(17))],
    ["a route still to go", "routing header with segments left", 43, extension(17, [0, 1, 0, 0, 0, 0])],
    ["an option to be discarded for", "option that must not be skipped", 60, extension(17, [0x40, 0, 0, 0, 0, 0])],
    ["a jumbogram", "option that must not be skipped", 0, extension(17, [0xc2, 4, 0, 1, 0, 0])],
    ["an option longer than its header", "extension header cut off", 60, extension(17, [1, 5, 0, 0, 0, 0])],
    ["an option without its length", "extension header cut off", 60, extension(17, [1, 3, 0, 0, 0, 5])],
    ["nothing inside", "no next header", 59, new Uint8Array(0)],
    ["nothing inside options", "no next header", 60, join(padded(59), datagram())],
    ["no end", "too many extension headers", 60, join(...new Array<Uint8Array>(20).fill(padded(60)))],
  ])("%s", (_, reason, next, payload) => {
    const fixture = new Fixture()
    expect(fixture.deliver(ipv6(next, payload, six))).toEqual([])
    expect(fixture.drops.entries()).toEqual([[`ip6: ${reason}`, 1]])
  })
})

describe("a parameter problem (RFC 4443, section 3.4; RFC 8200, section 4)", () => {
  const extension = (next: number, ...body: number[]) => {
    const bytes = new Uint8Array(Math.ceil((2 + body.length) / 8) * 8)
    bytes.set([next, bytes.length / 8 - 1, ...body])
    return bytes
  }
  const padded = (next: number) => extension(next, 1, 4, 0, 0, 0, 0)
  const answer = (frame: Uint8Array) => {
    const fixture = new Fixture()
    expect(fixture.deliver(frame)).toEqual([])
    expect(fixture.drops.total).toBe(1)
    fixture.tap.flush()
    return fixture.received().map(({ bytes }) => parse(bytes))
  }

  test.each<[string, number, number, number, Uint8Array]>([
    ["names hop-by-hop options further back", 1, 40, 60, join(padded(0), padded(17))],
    ["names the type of a route still to go", 0, 42, 43, extension(17, 0, 1, 0, 0, 0, 0)],
    ["... behind options", 0, 50, 0, join(padded(43), extension(17, 2, 1, 0, 0, 0, 0))],
    ["names an option to be reported", 2, 43, 60, extension(17, 0, 0x80, 3, 0, 0, 0)],
    ["names a jumbogram", 2, 42, 0, extension(17, 0xc2, 4, 0, 1, 0, 0)],
    [
      "names the header that is too many (RFC 8883)",
      8,
      40 + 17 * 8,
      60,
      join(...new Array<Uint8Array>(19).fill(padded(60)), padded(17)),
    ],
  ])("%s", (_, code, pointer, next, headers) => {
    const frame = ipv6(next, join(headers, datagram()), six)
    const [packet, ...others] = answer(frame)
    expect(others).toEqual([])
    expect(packet).toMatchObject({ from: six.to, to: six.from, protocol: 58 })
    expect(hasRightChecksum(packet)).toBe(true)
    expect([...packet.transport.subarray(0, 2), ...packet.transport.subarray(4, 8)]).toEqual([
      4,
      code,
      0,
      0,
      0,
      pointer,
    ])
    expect(packet.transport.subarray(8)).toEqual(frame.subarray(14))
  })

  test.each<[string, Uint8Array]>([
    ["an option that says so", ipv6(60, join(extension(17, 0x40, 0, 0, 0, 0, 0), datagram()), six)],
    ["nothing inside", ipv6(59, datagram(), six)],
    ["a header that is cut off", ipv6(60, Uint8Array.of(17, 9, 0, 0, 0, 0, 0, 0), six)],
    ["a packet to a group", ipv6(43, join(extension(17, 0, 1), datagram()), { ...six, to: "ff02::1" })],
    [
      "a packet from an IPv4-mapped address",
      ipv6(43, join(extension(17, 0, 1), datagram()), { ...six, from: "::ffff:192.0.2.2" }),
    ],
    ["a packet from nobody", ipv6(43, join(extension(17, 0, 1), datagram()), { ...six, from: "::" })],
    ["an error", ipv6(43, join(extension(58, 0, 1, 0, 0, 0, 0), Uint8Array.of(1, 4, 0, 0)), six)],
    ["an error further back", ipv6(43, join(extension(60, 0, 1, 0, 0, 0, 0), padded(58), Uint8Array.of(127)), six)],
    ["a redirect", ipv6(43, join(extension(58, 0, 1, 0, 0, 0, 0), Uint8Array.of(137, 0)), six)],
  ])("learns nothing about %s", (_, frame) => {
    if (frame[38] === 0xff) frame.set(macBytes("33:33:00:00:00:01"), 0)
    expect(answer(frame)).toEqual([])
  })

  test("goes to the station that sent the packet, though another one was heard last", () => {
    const fixture = new Fixture()
    const problem = (mac: string, from: string) =>
      ipv6(43, join(extension(17, 0, 1, 0, 0, 0, 0), datagram()), { ...six, from, mac })
    fixture.deliver(
      ipv6(17, datagram(), { ...six, mac: "02:00:00:00:00:0a" }),
      problem("02:00:00:00:00:0b", "2001:db8::b"),
    )
    fixture.tap.flush()
    expect(fixture.received().map(({ bytes }) => parse(bytes))).toMatchObject([
      { to: "2001:db8::b", target: "02:00:00:00:00:0b" },
    ])
    expect(fixture.seen).toHaveLength(1)
  })

  test("is told about an echo request", () => {
    const frame = ipv6(43, join(extension(58, 0, 1, 0, 0, 0, 0), Uint8Array.of(128, 0, 0, 0, 0, 1, 0, 1)), six)
    expect(answer(frame)).toHaveLength(1)
  })
})

describe("a tag with a priority (IEEE 802.1Q, 9.6)", () => {
  const tagged = (frame: Uint8Array, tag: number) =>
    join(frame.subarray(0, 12), Uint8Array.from([0x81, 0, ...u16(tag)]), frame.subarray(12))
  const frames: [string, Uint8Array][] = [
    ["IPv4", ipv4(17, datagram(), four)],
    ["IPv6", ipv6(17, datagram(), six)],
    ["what isn't IP", ethernet(0x0806, pattern(28))],
    ["padding", ipv4(17, datagram(), { ...four, padding: 9 })],
  ]

  test.each(frames)("alone is as none: %s", (_, frame) => {
    const plain = new Fixture().deliver(frame)
    const [sequence] = plain
    for (const priority of [0, 0x1000, 0xe000]) {
      const found = new Fixture().deliver(tagged(frame, priority))
      const packets = sequence.packets.map((packet) => ({ ...packet, network: packet.network + 4 }))
      expect(found).toEqual([{ ...sequence, packets }])
    }
  })

  test("doesn't keep packets apart, and what the link says about the frame holds", () => {
    const fixture = new Fixture()
    const marks = { segmentation: Segmentation.udp, segmentSize: 10, checksumStart: 38 }
    fixture.sendMarked(tagged(ipv4(17, datagram(1), four), 0xa000), marks)
    fixture.send(ipv4(17, datagram(2), four))
    while (fixture.tap.receive() > 0);
    expect(fixture.seen.map(({ packets }) => packets.map((packet) => [packet.segmentSize, packet.trusted]))).toEqual([
      [
        [10, true],
        [0, false],
      ],
    ])
  })

  test.each<[string, Uint8Array]>([
    ["eth: VLAN tag", tagged(ipv4(17, datagram(), four), 0x2001)],
    ["eth: VLAN tag", tagged(tagged(ipv4(17, datagram(), four), 0), 0)],
    ["eth: shorter than its header", tagged(ipv4(17, datagram(), four), 0).slice(0, 17)],
    ["eth: length instead of an EtherType", tagged(ethernet(40, pattern(40)), 0)],
    ["ip4: shorter than its header", tagged(ipv4(17, datagram(), four), 0).slice(0, 30)],
  ])("is no way around %s", (reason, frame) => {
    const fixture = new Fixture()
    expect(fixture.deliver(frame)).toEqual([])
    expect(fixture.drops.entries()).toEqual([[reason, 1]])
  })
})

describe("dropped and counted", () => {
  const edited = (frame: Uint8Array, offset: number, ...bytes: number[]) => {
    const copy = frame.slice()
    copy.set(bytes, offset)
    return copy
  }
  const plain4 = ipv4(17, datagram(), four)
  const plain6 = ipv6(17, datagram(), six)
  // Total length 19, with the checksum to go with it.
  const short4 = edited(plain4, 16, ...u16(19))
  short4.set(u16((((plain4[24] << 8) | plain4[25]) + 48 - 19) & 0xffff), 24)

  test.each<[string, Uint8Array]>([
    ["eth: shorter than its header", plain4.slice(0, 13)],
    ["eth: shorter than its header", new Uint8Array(0)],
    ["eth: source address of a group or of nobody", edited(plain4, 6, ...macBytes("01:00:5e:00:00:01"))],
    ["eth: source address of a group or of nobody", edited(plain4, 6, ...macBytes("ff:ff:ff:ff:ff:ff"))],
    ["eth: source address of a group or of nobody", edited(plain4, 6, 0, 0, 0, 0, 0, 0)],
    ["eth: VLAN tag", ethernet(0x8100, join(Uint8Array.of(0, 5, 8, 0), plain4.slice(14)))],
    ["eth: length instead of an EtherType", ethernet(60, pattern(60))],
    ["ip4: shorter than its header", plain4.slice(0, 33)],
    ["ip4: version", edited(plain4, 14, 0x65)],
    ["ip4: header length", edited(plain4, 14, 0x44)],
    ["ip4: total length", edited(plain4, 16, ...u16(49))],
    ["ip4: total length", plain4.slice(0, -1)],
    ["ip4: total length", short4],
    ["ip4: header checksum", edited(plain4, 22, 63)],
    ["ip4: header checksum", edited(ipv4(17, datagram(), { ...four, options: [1, 1, 1, 1] }), 34, 7)],
    ["ip4: source address of a group", ipv4(17, datagram(), { ...four, from: "224.0.0.1" })],
    ["ip4: source address of a group", ipv4(17, datagram(), { ...four, from: "255.255.255.255" })],
    ["ip4: loopback address", ipv4(17, datagram(), { ...four, from: "127.0.0.1" })],
    ["ip4: loopback address", ipv4(17, datagram(), { ...four, to: "127.3.2.1" })],
    ["ip6: shorter than its header", plain6.slice(0, 53)],
    ["ip6: version", edited(plain6, 14, 0x45)],
    ["ip6: payload length", plain6.slice(0, -1)],
    ["ip6: source address of a group", ipv6(17, datagram(), { ...six, from: "ff02::1" })],
    ["ip6: loopback address", ipv6(17, datagram(), { ...six, from: "::1" })],
    ["ip6: loopback address", ipv6(17, datagram(), { ...six, to: "::1" })],
    ["ip6: IPv4-mapped address", ipv6(17, datagram(), { ...six, from: "::ffff:192.0.2.2" })],
    ["ip6: IPv4-mapped address", ipv6(17, datagram(), { ...six, to: "::ffff:127.0.0.1" })],
  ])("%s", (reason, frame) => {
    const fixture = new Fixture()
    expect(fixture.deliver(frame)).toEqual([])
    expect(fixture.drops.entries()).toEqual([[reason, 1]])
  })

  test("a bad packet between good ones harms none of them", () => {
    const fixture = new Fixture()
    const sequences = fixture.deliver(plain4, edited(plain4, 22, 63), plain4)
    expect(sequences.map((sequence) => sequence.packets.length)).toEqual([2])
    expect(fixture.drops.total).toBe(1)
  })
})

describe("turns", () => {
  test("are limited by a budget", () => {
    const fixture = new Fixture({}, { batchSize: 4, budget: 8 })
    fixture.send(...new Array<Uint8Array>(30).fill(ipv4(17, datagram(), four)))
    expect([fixture.tap.receive(), fixture.tap.receive(1), fixture.tap.receive(100), fixture.tap.receive()]).toEqual([
      8, 4, 18, 0,
    ])
    const packets = fixture.seen.map((sequence) => sequence.packets.length)
    expect(packets.reduce((sum, count) => sum + count)).toBe(30)
    expect(Math.max(...packets)).toBe(4)
  })

  test("tell when the guest is gone, after its last frames", () => {
    const fixture = new Fixture()
    fixture.send(ipv4(17, datagram(), four))
    fixture.guest.close()
    expect(fixture.tap.receive()).toBe(1)
    expect(fixture.tap.receive()).toBeLessThan(0)
  })
})
