import { Segmentation, type SequenceBuffer } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { Fixture } from "../../test/fixture.ts"
import { ethernet, GUEST_MAC, ipv4, ipv6, join, macBytes, OUR_MAC, pattern, u16, udp } from "../../test/packets.ts"

const four = { from: "192.0.2.2", to: "198.51.100.7" }
const six = { from: "2001:db8::2", to: "2001:db8:1::7" }
const datagram = (seed = 1, ports: [number, number] = [4000, 53]) => udp(ports, pattern(20, seed))

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

  test("say how each packet is to be treated on its way", () => {
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
      const { demiflow } = sequence as SequenceBuffer
      demiflow.correspondentAddress.word3 = 1
      demiflow.forwardingPort = 9
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

  test("carry the segment size of what was left together, and whether the checksum is to be checked", () => {
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
  // Total length 19, with a matching checksum.
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
    // RFC 1122 3.2.1.1
    ["ip4: version", edited(plain4, 14, 0x65)],
    // RFC 791 3.1 (header-length)
    ["ip4: header length", edited(plain4, 14, 0x44)],
    // RFC 791 3.1 (total-length)
    ["ip4: total length", edited(plain4, 16, ...u16(49))],
    ["ip4: total length", plain4.slice(0, -1)],
    ["ip4: total length", short4],
    // RFC 1122 3.2.1.2
    ["ip4: header checksum", edited(plain4, 22, 63)],
    ["ip4: header checksum", edited(ipv4(17, datagram(), { ...four, options: [1, 1, 1, 1] }), 34, 7)],
    // RFC 1122 3.2.1.3 (source)
    ["ip4: source address of a group", ipv4(17, datagram(), { ...four, from: "224.0.0.1" })],
    ["ip4: source address of a group", ipv4(17, datagram(), { ...four, from: "255.255.255.255" })],
    // RFC 1122 3.2.1.3 (loopback)
    ["ip4: loopback address", ipv4(17, datagram(), { ...four, from: "127.0.0.1" })],
    ["ip4: loopback address", ipv4(17, datagram(), { ...four, to: "127.3.2.1" })],
    ["ip6: shorter than its header", plain6.slice(0, 53)],
    ["ip6: version", edited(plain6, 14, 0x45)],
    // RFC 8200 3
    ["ip6: payload length", plain6.slice(0, -1)],
    // RFC 4291 2.7
    ["ip6: source address of a group", ipv6(17, datagram(), { ...six, from: "ff02::1" })],
    // RFC 4291 2.5.3
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

/** Turns in which each frame takes some microseconds. */
class Turns {
  readonly #fixture: Fixture
  #before = 0
  #cost = 0

  constructor(sizes: { batchSize: number; budget: number }) {
    const spent = () => this.#before + this.#frames * this.#cost
    this.#fixture = new Fixture({}, { ...sizes, clock: { now: 0, spent } })
  }

  send(count: number): void {
    this.#fixture.send(...new Array<Uint8Array>(count).fill(ipv4(17, datagram(), four)))
  }

  /** Returns the frames handled in the next turn, of which other work has taken some microseconds. */
  next(cost: number, before = 0): number {
    this.#fixture.seen.length = 0
    this.#cost = cost
    this.#before = before
    return this.#fixture.tap.receive()
  }

  get #frames(): number {
    return this.#fixture.seen.reduce((sum, { packets }) => sum + packets.length, 0)
  }
}

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

  test("begin no other batch once they have taken 2 ms", () => {
    const turns = new Turns({ batchSize: 4, budget: 100 })
    turns.send(30)
    expect([turns.next(200), turns.next(250), turns.next(1)]).toEqual([12, 8, 10])
  })

  test("take few frames at a time while these take long, and have none of what came before", () => {
    const turns = new Turns({ batchSize: 64, budget: 1_000 })
    turns.send(1_000)
    expect([turns.next(100), turns.next(100)]).toEqual([64, 64])
    expect([turns.next(100), turns.next(100)]).toEqual([24, 24])
    expect(turns.next(1_000)).toBe(8)
    // Time that other work takes in the turn doesn't count for the frames.
    expect([turns.next(10, 1_700), turns.next(10, 1_700)]).toEqual([8 + 64, 64])
    expect(turns.next(1)).toBe(680)
  })

  test("take whole batches without a clock that says what was spent", () => {
    const fixture = new Fixture({}, { batchSize: 4, budget: 100 })
    fixture.send(...new Array<Uint8Array>(30).fill(ipv4(17, datagram(), four)))
    expect(fixture.tap.receive()).toBe(30)
  })

  test("report that the guest is gone, after its last frames", () => {
    const fixture = new Fixture()
    fixture.send(ipv4(17, datagram(), four))
    fixture.guest.close()
    expect(fixture.tap.receive()).toBe(1)
    expect(fixture.tap.receive()).toBeLessThan(0)
  })
})
