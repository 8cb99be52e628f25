import { Address, CHECKSUM_DONE, Segmentation } from "@demiflow/core"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { expectBytes } from "../../test/expect-bytes.ts"
import { Fixture } from "../../test/fixture.ts"
import {
  checksumOf,
  ethernet,
  GUEST_MAC,
  hasRightChecksum,
  ipv4,
  ipv6,
  OUR_MAC,
  parse,
  pattern,
  pseudoHeader,
  tcpHeader,
  u16,
  udp,
} from "../../test/packets.ts"
import { demiflows, flushed, four, isRightOrPartial, offloads, send, six, towards } from "../../test/sending.ts"

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
            // A handler may change a scratch instance: the packet must not depend on it any more.
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

  test("have the traffic class that they are given, each for itself", () => {
    const fixture = new Fixture()
    const datagram = udp([53, 4000], pattern(100))
    for (const trafficClass of [0xb8, 0x03, 0, 0xff]) {
      send(fixture, demiflow, 17, datagram, { checksumOffset: 6, trafficClass })
    }
    const packets = flushed(fixture).map(({ bytes }) => parse(bytes))
    expect(packets.map(({ trafficClass }) => trafficClass)).toEqual([0xb8, 0x03, 0, 0xff])
    expect(packets.every((packet) => hasRightChecksum(packet))).toBe(true)
  })

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
      trafficClass: 0,
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
    // A payload that makes the sum all ones: it is the checksum of the rest.
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

test("offloads that change while the link is in use are obeyed from the next packet on", () => {
  const fixture = new Fixture({ ...offloads, mtu: 1500 })
  const segment = Uint8Array.from([...tcpHeader([53, 4000], 1, 0x10), ...pattern(3000)])
  const sentWith = (areUsed: boolean) => {
    Object.assign(fixture.tap.capabilities, { checksumOffload: areUsed, tcpSegmentation: areUsed })
    send(fixture, four, 6, segment, { checksumOffset: 16, segmentSize: 1000, headerLength: 20 })
    const frames = flushed(fixture)
    for (const frame of frames) expect(isRightOrPartial(frame)).toBe(true)
    return frames.map(({ segmentation, checksumStart }) => [segmentation, checksumStart])
  }
  const plain = [Segmentation.none, 0]
  expect(sentWith(false)).toEqual([plain, plain, plain])
  expect(sentWith(true)).toEqual([[Segmentation.tcp4, 34]])
  expect(sentWith(false)).toEqual([plain, plain, plain])
})
