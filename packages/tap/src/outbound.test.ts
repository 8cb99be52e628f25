import {
  Address,
  CHECKSUM_DONE,
  Demiflow,
  Interface,
  type LinkCapabilities,
  MacAddress,
  Segmentation,
} from "@demiflow/core"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { expectBytes } from "../test/expect-bytes.ts"
import { Fixture } from "../test/fixture.ts"
import {
  checksumOf,
  ethernet,
  GUEST_MAC,
  hasRightChecksum,
  ipv4,
  ipv6,
  join,
  joinFragments,
  OUR_MAC,
  parse,
  pattern,
  pseudoHeader,
  tcpHeader,
  u16,
  udp,
} from "../test/packets.ts"

const offloads = { checksumOffload: true, tcpSegmentation: true, udpSegmentation: true, headroom: 12, mtu: 65_520 }
const towards = (forwarding: string, correspondent: string) =>
  Demiflow.of(Interface.tap, Address.parse(forwarding), 53, Address.parse(correspondent), 4000)
const four = towards("198.51.100.7", "192.0.2.2")
const six = towards("2001:db8:1::7", "2001:db8::2")
const demiflows: [string, Demiflow][] = [
  ["IPv4", four],
  ["IPv6", six],
]

interface Sending {
  readonly checksumOffset?: number
  readonly segmentSize?: number
  readonly headerLength?: number
  readonly hopLimit?: number
}

/** Sends a transport header and payload as handlers do. */
function send(fixture: Fixture, demiflow: Demiflow, protocol: number, transport: Uint8Array, options: Sending = {}) {
  const offset = fixture.tap.begin(demiflow, protocol, transport.length, options.hopLimit)
  if (offset < 0) return offset
  fixture.arena.bytes.set(transport, offset)
  const { checksumOffset = CHECKSUM_DONE, segmentSize, headerLength } = options
  fixture.tap.end(offset, transport.length, checksumOffset, segmentSize, headerLength)
  return offset
}

function flushed(fixture: Fixture) {
  fixture.tap.flush()
  return fixture.received()
}

describe("4. No destination address in any precomputed checksum or header template: what is constant is constant at start (or at build), what varies is folded in per packet", () => {
  test.each([
    ["without offloads", {}],
    ["with offloads", offloads],
  ])("packets built side by side to different addresses have right checksums each, %s", (_, capabilities) => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.boolean(), fc.nat(0xffff), fc.nat(0xffff), fc.nat(60)), { minLength: 1, maxLength: 12 }),
        (packets) => {
          const fixture = new Fixture(capabilities, { transmitBytes: 1 << 20, reassemblySlots: 1 })
          const begun = packets.map(([isV4, from, to, length]) => {
            const prefix = isV4 ? ["198.18", "192.168"] : ["2001:db8:1", "2001:db8:2"]
            const address = (index: number, value: number) =>
              isV4 ? `${prefix[index]}.${value >> 8}.${value & 255}` : `${prefix[index]}::${value.toString(16)}`
            const demiflow = towards(address(0, from), address(1, to))
            const bytes = udp([53, 4000], pattern(length))
            const offset = fixture.tap.begin(demiflow, 17, bytes.length)
            fixture.arena.bytes.set(bytes, offset)
            // What a handler does with a scratch instance: the packet must not look at it again.
            const to_ = demiflow.correspondentAddress.toString()
            demiflow.correspondentAddress.word3 = 0
            demiflow.forwardingAddress.word3 = 0
            return { offset, length: bytes.length, to: to_ }
          })
          for (const { offset, length } of begun) fixture.tap.end(offset, length, 6)
          const frames = flushed(fixture)
          expect(frames.map((frame) => parse(frame.bytes).to)).toEqual(begun.map(({ to }) => to))
          for (const frame of frames) expect(isRightOrPartial(frame)).toBe(true)
        },
      ),
      { numRuns: 30 },
    )
  })
})

/** Right as it is, or once the link has completed it. */
function isRightOrPartial(frame: { bytes: Uint8Array; checksumStart: number; checksumOffset: number }): boolean {
  const packet = parse(frame.bytes)
  if (frame.checksumStart === 0) return hasRightChecksum(packet)
  const completed = frame.bytes.slice()
  completed.set(u16(checksumOf(completed.subarray(frame.checksumStart))), frame.checksumStart + frame.checksumOffset)
  return hasRightChecksum(parse(completed))
}

describe("5. The destination of every packet to the guest is filled in per packet, IPv4 and IPv6 alike", () => {
  test.each(demiflows)("%s", (_, demiflow) => {
    const fixture = new Fixture()
    const other = demiflow.clone()
    other.correspondentAddress.word3 ^= 0x0100
    send(fixture, demiflow, 17, udp([53, 4000], pattern(3)), { checksumOffset: 6 })
    send(fixture, other, 17, udp([53, 4000], pattern(3)), { checksumOffset: 6 })
    send(fixture, demiflow, 17, udp([53, 4000], pattern(3)), { checksumOffset: 6 })
    const packets = flushed(fixture).map((frame) => parse(frame.bytes))
    expect(packets.map(({ to }) => to)).toEqual(
      [demiflow, other, demiflow].map(({ correspondentAddress }) => correspondentAddress.toString()),
    )
    expect(packets.every((packet) => hasRightChecksum(packet))).toBe(true)
  })

  test("the Ethernet destination is the guest's of that moment", () => {
    const fixture = new Fixture()
    send(fixture, four, 17, udp([53, 4000], pattern(3)))
    fixture.deliver(ethernet(0x0806, pattern(28)))
    send(fixture, four, 17, udp([53, 4000], pattern(3)))
    fixture.deliver(ethernet(0x0806, pattern(28), "02:00:00:00:00:33"))
    send(fixture, four, 17, udp([53, 4000], pattern(3)))
    const targets = flushed(fixture).map((frame) => parse(frame.bytes).target)
    expect(targets).toEqual(["ff:ff:ff:ff:ff:ff", GUEST_MAC, "02:00:00:00:00:33"])
  })

  test.each([
    ["224.0.0.251", "01:00:5e:00:00:fb"],
    ["239.129.1.2", "01:00:5e:01:01:02"],
    ["255.255.255.255", "ff:ff:ff:ff:ff:ff"],
    ["ff02::1", "33:33:00:00:00:01"],
    ["ff02::1:ff12:3456", "33:33:ff:12:34:56"],
    ["192.0.2.2", GUEST_MAC],
    ["fe80::2", GUEST_MAC],
  ])("a packet to %s goes to %s", (address, mac) => {
    const fixture = new Fixture()
    fixture.deliver(ethernet(0x0806, pattern(28)))
    send(fixture, towards(address.includes(":") ? "fe80::1" : "198.51.100.7", address), 17, udp([1, 2], pattern(3)))
    expect(parse(flushed(fixture)[0].bytes)).toMatchObject({ target: mac, source: OUR_MAC, to: address })
  })
})

describe('6. Each connection tracks the guest\'s own address (the tap-side correspondent); "the last address seen" is consulted only to start a connection towards the guest. A guest may use many addresses at once.', () => {
  test("packets go to the correspondent of their demiflow, whatever was seen last", () => {
    const fixture = new Fixture()
    fixture.deliver(
      ipv4(17, udp([4000, 53], pattern(3)), { from: "192.0.2.77", to: "198.51.100.7" }),
      ipv6(17, udp([4000, 53], pattern(3)), { from: "2001:db8::77", to: "2001:db8:1::7" }),
    )
    expect([fixture.tap.lastSeenV4, fixture.tap.lastSeenV6].map(String)).toEqual(["192.0.2.77", "2001:db8::77"])
    for (const [, demiflow] of demiflows) send(fixture, demiflow, 17, udp([53, 4000], pattern(3)))
    expect(flushed(fixture).map((frame) => parse(frame.bytes).to)).toEqual(["192.0.2.2", "2001:db8::2"])
  })

  test("until the guest was seen, the assigned addresses stand there", () => {
    const { tap } = new Fixture(
      {},
      {
        guestV4: Address.parse("192.0.2.2"),
        guestV6: Address.parse("2001:db8::2"),
        guestLinkLocal: Address.parse("fe80::2"),
      },
    )
    expect([tap.lastSeenV4, tap.lastSeenV6, tap.lastSeenLinkLocal].map(String)).toEqual([
      "192.0.2.2",
      "2001:db8::2",
      "fe80::2",
    ])
  })
})

describe.each(demiflows)("packets over %s", (_, demiflow) => {
  const isV4 = demiflow.isV4
  const headers = isV4 ? 34 : 54

  test("are complete", () => {
    const fixture = new Fixture()
    const datagram = udp([53, 4000], pattern(100))
    send(fixture, demiflow, 17, datagram, { checksumOffset: 6, hopLimit: 7 })
    const [frame] = flushed(fixture)
    const packet = parse(frame.bytes)
    expect(packet).toMatchObject({
      etherType: isV4 ? 0x0800 : 0x86dd,
      from: demiflow.forwardingAddress.toString(),
      to: demiflow.correspondentAddress.toString(),
      protocol: 17,
      hopLimit: 7,
      dontFragment: false,
      isFragment: false,
    })
    expect(hasRightChecksum(packet)).toBe(true)
    expect(packet.transport.slice(8)).toEqual(pattern(100))
    expect(frame).toMatchObject({ checksumStart: 0, segmentation: Segmentation.none })
  })

  test("may be shorter than their room, and no longer", () => {
    const fixture = new Fixture()
    const offset = fixture.tap.begin(demiflow, 253, 1000)
    fixture.arena.bytes.set(pattern(10), offset)
    fixture.tap.end(offset, 10, CHECKSUM_DONE)
    const tooLong = fixture.tap.begin(demiflow, 253, 100)
    fixture.tap.end(tooLong, 1000, CHECKSUM_DONE)
    send(fixture, demiflow, 253, pattern(20, 2))
    const packets = flushed(fixture).map((frame) => parse(frame.bytes))
    expect(packets.map(({ transport }) => transport)).toEqual([pattern(10), pattern(20, 2)])
    expect(fixture.drops.entries()).toEqual([["tap: longer than an IP packet or its room", 1]])
  })

  test("leave with a partial checksum where the link completes it", () => {
    const fixture = new Fixture(offloads)
    const datagram = udp([53, 4000], pattern(101))
    send(fixture, demiflow, 17, datagram, { checksumOffset: 6 })
    const [frame] = flushed(fixture)
    expect(frame).toMatchObject({ checksumStart: headers, checksumOffset: 6, segmentation: Segmentation.none })
    const { from, to, transport } = parse(frame.bytes)
    const field = ((transport[6] << 8) | transport[7]) ^ 0xffff
    expect(field).toBe(checksumOf(pseudoHeader(from, to, 17, transport.length)))
    expect(isRightOrPartial(frame)).toBe(true)
  })

  test("have no checksum touched where there is nothing to do", () => {
    const fixture = new Fixture(offloads)
    send(fixture, demiflow, 253, pattern(30))
    const [frame] = flushed(fixture)
    expect(frame.checksumStart).toBe(0)
    expect(parse(frame.bytes).transport).toEqual(pattern(30))
  })

  test("of UDP never say that they have no checksum", () => {
    const fixture = new Fixture()
    // A payload that makes the sum all ones: found by putting the checksum of the rest there.
    const datagram = udp([53, 4000], new Uint8Array(2))
    const { forwardingAddress, correspondentAddress } = demiflow
    const pseudo = pseudoHeader(forwardingAddress.toString(), correspondentAddress.toString(), 17, datagram.length)
    datagram.set(u16(checksumOf(pseudo, datagram)), 8)
    send(fixture, demiflow, 17, datagram, { checksumOffset: 6 })
    const { transport } = parse(flushed(fixture)[0].bytes)
    expect([transport[6], transport[7]]).toEqual([0xff, 0xff])
  })

  test("of other protocols have whatever their checksum is", () => {
    const fixture = new Fixture()
    const message = new Uint8Array(8)
    const { forwardingAddress, correspondentAddress } = demiflow
    const pseudo = pseudoHeader(forwardingAddress.toString(), correspondentAddress.toString(), 58, 8)
    message.set(u16(checksumOf(pseudo, message)), 4)
    send(fixture, demiflow, 58, message, { checksumOffset: 2 })
    const { transport } = parse(flushed(fixture)[0].bytes)
    expect([transport[2], transport[3]]).toEqual([0, 0])
  })

  test("may have any length", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 3000 }), fc.boolean(), (length, isOffloaded) => {
        const fixture = new Fixture(isOffloaded ? offloads : { mtu: 65_520 }, { transmitBytes: 1 << 20 })
        send(fixture, demiflow, 17, udp([53, 4000], pattern(length)), { checksumOffset: 6 })
        const [frame] = flushed(fixture)
        expect(isRightOrPartial(frame)).toBe(true)
        expectBytes(parse(frame.bytes).transport.slice(8), pattern(length))
      }),
      { numRuns: 50 },
    )
  })
})

describe("IPv4 headers", () => {
  test("TCP asks not to be fragmented; others have an identification of their own", () => {
    const fixture = new Fixture()
    send(fixture, four, 6, tcpHeader([80, 4000], 1, 0x10))
    for (let index = 0; index < 3; index++) send(fixture, four, 17, udp([53, 4000], pattern(3)))
    const packets = flushed(fixture).map((frame) => parse(frame.bytes))
    expect(packets.map(({ dontFragment }) => dontFragment)).toEqual([true, false, false, false])
    expect(new Set(packets.slice(1).map(({ identification }) => identification)).size).toBe(3)
  })

  test("the default hop limit is what neighbour discovery needs", () => {
    const fixture = new Fixture()
    send(fixture, six, 58, pattern(8))
    expect(parse(flushed(fixture)[0].bytes).hopLimit).toBe(255)
  })
})

describe("several packets at a time", () => {
  test("may be open, and ended in any order", () => {
    const fixture = new Fixture({}, { transmitBytes: 1 << 20, reassemblySlots: 1 })
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(30), { minLength: 1, maxLength: 20 }), (order) => {
        const begun = new Map(
          [...order]
            .sort((a, b) => a - b)
            .map((key) => {
              const demiflow = key % 2 === 0 ? four : six
              const offset = fixture.tap.begin(demiflow, 17, 200)
              fixture.arena.bytes.set(udp([53, 4000], pattern(key + 20, key)), offset)
              return [key, offset]
            }),
        )
        for (const key of order) fixture.tap.end(begun.get(key) ?? -1, key + 28, 6)
        const packets = flushed(fixture).map((frame) => parse(frame.bytes))
        expect(packets.map((packet) => packet.transport.slice(8))).toEqual(order.map((key) => pattern(key + 20, key)))
        expect(packets.every((packet) => hasRightChecksum(packet))).toBe(true)
      }),
      { numRuns: 50 },
    )
  })

  test("may be taken back from one on, those ended before excepted", () => {
    const fixture = new Fixture()
    const offsets = [1, 2, 3, 4].map((seed) => {
      const offset = fixture.tap.begin(four, 253, 100)
      fixture.arena.bytes.set(pattern(100, seed), offset)
      return offset
    })
    fixture.tap.end(offsets[2], 100, CHECKSUM_DONE)
    fixture.tap.abandon(offsets[1])
    // Ended too late: taken back already.
    fixture.tap.end(offsets[1], 100, CHECKSUM_DONE)
    fixture.tap.end(offsets[3], 100, CHECKSUM_DONE)
    fixture.tap.end(offsets[0], 100, CHECKSUM_DONE)
    // The memory of the one that waits isn't given to another.
    send(fixture, four, 253, pattern(300, 5))
    const packets = flushed(fixture).map((frame) => parse(frame.bytes))
    expect(packets.map((packet) => packet.transport)).toEqual([pattern(100, 3), pattern(100, 1), pattern(300, 5)])
  })

  test("taken back, they cost no room", () => {
    const fixture = new Fixture()
    const first = fixture.tap.begin(four, 253, 100)
    const second = fixture.tap.begin(six, 253, 1000)
    fixture.tap.begin(four, 253, 1000)
    fixture.tap.abandon(second)
    expect(fixture.tap.begin(four, 253, 1000)).toBe(second)
    fixture.tap.abandon(first)
    expect(fixture.tap.begin(four, 253, 100)).toBe(first)
  })

  test("are sent once, however often they are ended", () => {
    const fixture = new Fixture()
    const offset = send(fixture, four, 253, pattern(10))
    fixture.tap.end(offset, 10, CHECKSUM_DONE)
    fixture.tap.end(-1, 10, CHECKSUM_DONE)
    expect(flushed(fixture)).toHaveLength(1)
    expect(flushed(fixture)).toHaveLength(0)
  })
})

describe("room", () => {
  test("comes back with each flush: the same memory serves every turn", () => {
    const fixture = new Fixture()
    const offsets = new Set(
      Array.from({ length: 5 }, () => {
        const offset = send(fixture, four, 253, pattern(10))
        flushed(fixture)
        return offset
      }),
    )
    expect(offsets.size).toBe(1)
  })

  test("is what a packet uses, not what it asked for", () => {
    const fixture = new Fixture({ mtu: 65_520 }, { transmitBytes: 256 << 10 })
    for (let index = 0; index < 100; index++) {
      const offset = fixture.tap.begin(four, 253, 65_515)
      expect(offset).toBeGreaterThan(0)
      fixture.tap.end(offset, 20, CHECKSUM_DONE)
    }
    expect(fixture.received()).toHaveLength(0)
    expect(flushed(fixture)).toHaveLength(100)
  })

  test("used up: what is ready is sent, unless a packet is open", () => {
    const fixture = new Fixture({ mtu: 65_520 }, { transmitBytes: 130 << 10 })
    const large = pattern(60_000)
    send(fixture, four, 253, large)
    send(fixture, four, 253, large)
    expect(fixture.received()).toHaveLength(0)
    const open = fixture.tap.begin(four, 253, 60_000)
    expect(open).toBeGreaterThan(0)
    expect(fixture.received()).toHaveLength(2)
    expect(fixture.tap.begin(four, 253, 60_000)).toBeGreaterThan(0)
    expect(fixture.tap.begin(four, 253, 60_000)).toBe(-1)
    fixture.tap.flush()
    expect(fixture.tap.begin(four, 253, 60_000)).toBe(-1)
    fixture.tap.abandon(open)
    expect(fixture.tap.begin(four, 253, 60_000)).toBeGreaterThan(0)
  })

  test("that will never be there is refused", () => {
    const fixture = new Fixture({}, { transmitBytes: 32 << 10 })
    expect(fixture.tap.begin(four, 253, 60_000)).toBe(-1)
    expect(fixture.tap.begin(four, 253, 1000)).toBeGreaterThan(0)
  })

  test("more frames than the link takes at a time go in several batches", () => {
    const fixture = new Fixture()
    for (let index = 0; index < 700; index++) send(fixture, four, 253, pattern(5, index))
    expect(flushed(fixture).map((frame) => parse(frame.bytes).transport)).toEqual(
      Array.from({ length: 700 }, (_, index) => pattern(5, index)),
    )
  })

  test("frames that the link does not take are counted", () => {
    const fixture = new Fixture()
    for (let index = 0; index < 1500; index++) send(fixture, four, 253, pattern(5, index))
    expect(flushed(fixture)).toHaveLength(1024)
    expect(fixture.drops.entries()).toEqual([["link: full", 476]])
    send(fixture, four, 253, pattern(9))
    expect(flushed(fixture)).toHaveLength(1)
  })
})

describe("frames that aren't IP", () => {
  test("go to the address given", () => {
    const fixture = new Fixture({ headroom: 12 })
    const offset = fixture.tap.beginFrame(MacAddress.parse("02:00:00:00:00:44"), 0x0806, 100)
    fixture.arena.bytes.set(pattern(28), offset)
    fixture.tap.endFrame(offset, 28)
    expect(flushed(fixture).map((frame) => frame.bytes)).toEqual([
      ethernet(0x0806, pattern(28), OUR_MAC, "02:00:00:00:00:44"),
    ])
  })

  test("can be taken back, and are no packets", () => {
    const fixture = new Fixture()
    const offset = fixture.tap.beginFrame(fixture.tap.guestMac, 0x0806, 100)
    fixture.tap.end(offset, 28, CHECKSUM_DONE)
    fixture.tap.abandon(offset)
    fixture.tap.endFrame(offset, 28)
    const packet = fixture.tap.begin(four, 253, 10)
    fixture.tap.endFrame(packet, 10)
    expect(flushed(fixture)).toEqual([])
    const long = fixture.tap.beginFrame(fixture.tap.guestMac, 0x0806, 100)
    fixture.tap.endFrame(long, 1000)
    expect(fixture.drops.total).toBe(1)
  })
})

describe.each(demiflows)("payload left together over %s", (_, demiflow) => {
  const isV4 = demiflow.isV4
  const headers = isV4 ? 34 : 54
  const segment = (length: number, flags = 0x10, options = 3) =>
    join(tcpHeader([80, 4000], 0xffff_ff00, flags, options), pattern(length))

  test("goes to a link that cuts it as one frame", () => {
    const fixture = new Fixture({ ...offloads, mtu: 1500 })
    send(fixture, demiflow, 6, segment(20_000), { checksumOffset: 16, segmentSize: 1400, headerLength: 32 })
    send(fixture, demiflow, 17, udp([53, 4000], pattern(9000)), {
      checksumOffset: 6,
      segmentSize: 1000,
      headerLength: 8,
    })
    const frames = flushed(fixture)
    expect(frames).toMatchObject([
      {
        segmentation: isV4 ? Segmentation.tcp4 : Segmentation.tcp6,
        segmentSize: 1400,
        headerLength: headers + 32,
        checksumStart: headers,
        checksumOffset: 16,
      },
      { segmentation: Segmentation.udp, segmentSize: 1000, headerLength: headers + 8, checksumStart: headers },
    ])
    expect(frames.every(isRightOrPartial)).toBe(true)
  })

  test("that is a single segment after all is none", () => {
    const fixture = new Fixture({ ...offloads, mtu: 1500 })
    send(fixture, demiflow, 6, segment(1400), { checksumOffset: 16, segmentSize: 1400, headerLength: 32 })
    expect(flushed(fixture)).toMatchObject([{ segmentation: Segmentation.none, segmentSize: 0, headerLength: 0 }])
  })

  test.each<[string, Partial<LinkCapabilities>]>([
    ["without any offload", { mtu: 1500 }],
    ["that only completes checksums", { mtu: 1500, checksumOffload: true, headroom: 12 }],
    ["that cuts but does not complete checksums", { mtu: 1500, tcpSegmentation: true, headroom: 4 }],
  ])("is cut into TCP segments for a link %s", (_, capabilities) => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10_000 }),
        fc.integer({ min: 50, max: 3000 }),
        fc.constantFrom(0x10, 0x18, 0x19, 0x11, 0x90),
        fc.nat(5),
        (length, segmentSize, flags, options) => {
          const fixture = new Fixture(capabilities, { transmitBytes: 1 << 20, reassemblySlots: 1 })
          const headerLength = 20 + options * 4
          const whole = segment(length, flags, options)
          send(fixture, demiflow, 6, whole, { checksumOffset: 16, segmentSize, headerLength })
          const frames = flushed(fixture)
          const packets = frames.map((frame) => parse(frame.bytes))
          const size = Math.min(segmentSize, 1500 - (headers - 14) - headerLength)
          expect(frames.length).toBe(Math.max(1, Math.ceil(length / size)))
          expectBytes(join(...packets.map(({ transport }) => transport.slice(headerLength))), pattern(length))
          let sequenceNumber = 0xffff_ff00
          for (const [index, { transport, dontFragment }] of packets.entries()) {
            const view = new DataView(transport.buffer)
            expect(view.getUint32(4)).toBe(sequenceNumber >>> 0)
            sequenceNumber += transport.length - headerLength
            const isLast = index === packets.length - 1
            expect(transport[13]).toBe(flags & (isLast ? 0xff : ~0x09) & (index === 0 ? 0xff : ~0x80))
            expect(dontFragment).toBe(isV4)
            expect(transport.length).toBeLessThanOrEqual(1500 - headers + 14)
          }
          for (const frame of frames) expect(isRightOrPartial(frame)).toBe(true)
        },
      ),
      { numRuns: 40 },
    )
  })

  test.each<[string, Partial<LinkCapabilities>]>([
    ["without any offload", { mtu: 1500 }],
    ["that only completes checksums", { mtu: 1500, checksumOffload: true, headroom: 12 }],
  ])("is cut into UDP datagrams for a link %s", (_, capabilities) => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10_000 }), fc.integer({ min: 1, max: 1400 }), (length, size) => {
        const segmentSize = Math.max(size, Math.ceil(length / 500))
        const fixture = new Fixture(capabilities, { transmitBytes: 1 << 20, reassemblySlots: 1 })
        const datagram = udp([53, 4000], pattern(length))
        send(fixture, demiflow, 17, datagram, { checksumOffset: 6, segmentSize, headerLength: 8 })
        const frames = flushed(fixture)
        const packets = frames.map((frame) => parse(frame.bytes))
        expect(packets.length).toBe(Math.ceil(length / segmentSize))
        expectBytes(join(...packets.map(({ transport }) => transport.slice(8))), pattern(length))
        for (const { transport } of packets) {
          expect(transport.slice(0, 6)).toEqual(join(datagram.slice(0, 4), Uint8Array.from(u16(transport.length))))
        }
        for (const frame of frames) expect(isRightOrPartial(frame)).toBe(true)
      }),
      { numRuns: 40 },
    )
  })

  test.each<[string, Partial<LinkCapabilities>]>([
    ["without offloads", {}],
    ["with offloads", offloads],
  ])("as UDP datagrams over the MTU becomes fragments of each, %s", (_, capabilities) => {
    const fixture = new Fixture({ ...capabilities, mtu: 600 })
    send(fixture, demiflow, 17, udp([53, 4000], pattern(3500)), {
      checksumOffset: 6,
      segmentSize: 1700,
      headerLength: 8,
    })
    const packets = flushed(fixture).map((frame) => parse(frame.bytes))
    const datagrams: Uint8Array[] = []
    for (let index = 0; index < packets.length; ) {
      let end = index + 1
      while (end < packets.length && packets[end].isFragment && packets[end].fragmentOffset > 0) end++
      datagrams.push(end === index + 1 ? packets[index].transport : joinFragments(packets.slice(index, end)))
      index = end
    }
    expect(datagrams.map((bytes) => bytes.length)).toEqual([1708, 1708, 108])
    expectBytes(join(...datagrams.map((bytes) => bytes.slice(8))), pattern(3500))
    expect(datagrams.slice(0, 2).every((bytes) => hasRightChecksum(packets[0], bytes))).toBe(true)
  })

  test("is cut right where the batch is full in between", () => {
    const fixture = new Fixture({ mtu: 1500 })
    for (let index = 0; index < 250; index++) send(fixture, four, 253, pattern(5))
    send(fixture, demiflow, 6, segment(60_000), { checksumOffset: 16, segmentSize: 1400, headerLength: 32 })
    const packets = flushed(fixture)
      .map((frame) => parse(frame.bytes))
      .slice(250)
    expectBytes(join(...packets.map(({ transport }) => transport.slice(32))), pattern(60_000))
    expect(packets.every((packet) => hasRightChecksum(packet))).toBe(true)
  })

  test("once cut, needs no room any more", () => {
    const fixture = new Fixture({ mtu: 1500 }, { transmitBytes: 128 << 10 })
    const open = fixture.tap.begin(four, 253, 100)
    for (let index = 0; index < 10; index++) {
      const options = { checksumOffset: 16, segmentSize: 1448, headerLength: 32 }
      expect(send(fixture, demiflow, 6, segment(60_000), options)).toBeGreaterThan(open)
    }
  })

  test("is cut however small the spare memory is beside it", () => {
    const fixture = new Fixture({ mtu: 1500 })
    let length = 0
    const whole = segment(60_000, 0x18)
    for (let index = 0; index < 20; index++) {
      send(fixture, demiflow, 6, whole, { checksumOffset: 16, segmentSize: 1448, headerLength: 32 })
      length += fixture.received().reduce((sum, frame) => sum + parse(frame.bytes).transport.length - 32, 0)
    }
    length += flushed(fixture).reduce((sum, frame) => sum + parse(frame.bytes).transport.length - 32, 0)
    expect(length).toBe(20 * 60_000)
    expect(fixture.drops.total).toBe(0)
  })
})

describe.each(demiflows)("packets over the MTU, over %s", (_, demiflow) => {
  test.each<[string, Partial<LinkCapabilities>]>([
    ["without offloads", {}],
    ["with offloads", offloads],
  ])("become fragments, the checksum completed before, %s", (_, capabilities) => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 65_000 }), fc.integer({ min: 1280, max: 9000 }), (length, mtu) => {
        const fixture = new Fixture({ ...capabilities, mtu }, { transmitBytes: 1 << 20, reassemblySlots: 1 })
        send(fixture, demiflow, 17, udp([53, 4000], pattern(length)), { checksumOffset: 6, hopLimit: 9 })
        const frames = flushed(fixture)
        const packets = frames.map((frame) => parse(frame.bytes))
        expect(frames.every((frame) => frame.bytes.length - 14 <= mtu)).toBe(true)
        expect(
          packets.every(({ hopLimit, dontFragment, protocol }) => hopLimit === 9 && !dontFragment && protocol === 17),
        ).toBe(true)
        if (packets.length === 1) {
          expect(isRightOrPartial(frames[0])).toBe(true)
          return
        }
        expect(frames.every((frame) => frame.checksumStart === 0)).toBe(true)
        const datagram = joinFragments(packets)
        expectBytes(datagram.slice(8), pattern(length))
        expect(hasRightChecksum(packets[0], datagram)).toBe(true)
      }),
      { numRuns: 30 },
    )
  })

  test("come in again as they went out", () => {
    const fixture = new Fixture({ mtu: 1280 })
    const datagram = udp([53, 4000], pattern(30_000))
    send(fixture, demiflow, 17, datagram, { checksumOffset: 6 })
    const frames = flushed(fixture).map((frame) => frame.bytes)
    const [sequence] = new Fixture().deliver(...frames)
    expectBytes(sequence.packets[0].transport.slice(8), pattern(30_000))
  })

  test("have an identification of their own", () => {
    const fixture = new Fixture({ mtu: 1280 })
    for (let index = 0; index < 3; index++)
      send(fixture, demiflow, 17, udp([53, 4000], pattern(2000)), { checksumOffset: 6 })
    const identifications = flushed(fixture).map((frame) => parse(frame.bytes).identification)
    expect(identifications).toHaveLength(6)
    expect(new Set(identifications).size).toBe(3)
  })

  test("the guest's MTU counts where it is smaller than the link's", () => {
    const fixture = new Fixture({ ...offloads, mtu: 65_520 }, { mtu: 1280 })
    expect(fixture.tap.mtu).toBe(1280)
    send(fixture, demiflow, 17, udp([53, 4000], pattern(1400)), { checksumOffset: 6 })
    expect(flushed(fixture)).toHaveLength(2)
  })
})

describe("set-up", () => {
  test.each([67, 0, Number.NaN, -1])("an MTU of %d is refused", (mtu) => {
    expect(() => new Fixture({}, { mtu })).toThrow(RangeError)
  })

  test("packets are not taken before there is a stack", () => {
    const { tap, link, clock, drops, arena } = new Fixture()
    const unattached = new (tap.constructor as typeof import("./tap-side.ts").TapSide)({
      link,
      clock,
      drops,
      random: { int32: () => 0 },
      ourMac: tap.ourMac,
      ourLinkLocal: tap.ourLinkLocal,
      transmitBytes: 1 << 20,
      reassemblySlots: 1,
    })
    expect(arena.remaining).toBeGreaterThan(0)
    expect(() => unattached.receive()).toThrow(expect.objectContaining({ code: "ERR_TAP_NOT_ATTACHED" }))
  })
})
