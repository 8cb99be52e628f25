import { type LinkCapabilities, Segmentation } from "@demiflow/core"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { expectBytes } from "../../test/expect-bytes.ts"
import { Fixture } from "../../test/fixture.ts"
import { hasRightChecksum, join, joinFragments, parse, pattern, tcpHeader, u16, udp } from "../../test/packets.ts"
import { demiflows, flushed, four, isRightOrPartial, offloads, send } from "../../test/sending.ts"

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
        send(fixture, demiflow, 17, udp([53, 4000], pattern(length)), {
          checksumOffset: 6,
          hopLimit: 9,
          trafficClass: 0xb9,
        })
        const frames = flushed(fixture)
        const packets = frames.map((frame) => parse(frame.bytes))
        expect(frames.every((frame) => frame.bytes.length - 14 <= mtu)).toBe(true)
        expect(
          packets.every(({ hopLimit, dontFragment, protocol }) => hopLimit === 9 && !dontFragment && protocol === 17),
        ).toBe(true)
        expect(packets.every(({ trafficClass }) => trafficClass === 0xb9)).toBe(true)
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
