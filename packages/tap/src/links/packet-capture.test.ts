import { Address, type CHECKSUM_DONE, Demiflow, Interface, type LinkCapabilities } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { Fixture } from "../../test/fixture.ts"
import { hasRightChecksum, ipv4, parse, pattern, udp } from "../../test/packets.ts"
import { PacketCapture } from "./packet-capture.ts"

const four = { from: "192.0.2.2", to: "198.51.100.7" }
const demiflow = Demiflow.of(Interface.tap, Address.parse(four.to), 53, Address.parse(four.from), 4000)

interface CaptureRecord {
  readonly time: number
  readonly originalLength: number
  readonly bytes: Uint8Array
}

/** A capture file, as libpcap reads it. */
function readCapture(chunks: Uint8Array[]): { header: number[]; records: CaptureRecord[] } {
  const file = Buffer.concat(chunks)
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  const header = [view.getUint32(0, true), view.getUint16(4, true), view.getUint16(6, true), view.getUint32(16, true)]
  const records: CaptureRecord[] = []
  for (let offset = 24; offset < file.length; ) {
    const kept = view.getUint32(offset + 8, true)
    records.push({
      time: view.getUint32(offset, true) * 1e6 + view.getUint32(offset + 4, true),
      originalLength: view.getUint32(offset + 12, true),
      bytes: Uint8Array.from(file.subarray(offset + 16, offset + 16 + kept)),
    })
    offset += 16 + kept
  }
  return { header: [...header, view.getUint32(20, true)], records }
}

function setUp(capabilities: Partial<LinkCapabilities> = {}, snapshotLength?: number) {
  const chunks: Uint8Array[] = []
  const clock = { microseconds: 1_700_000_000_123_456 }
  const sink = { write: (bytes: Uint8Array) => chunks.push(bytes.slice()) }
  const fixture = new Fixture(capabilities, {}, (link) => new PacketCapture(link, sink, clock, snapshotLength))
  return { fixture, chunks, clock, capture: () => readCapture(chunks) }
}

function send(fixture: Fixture, transport: Uint8Array, checksumOffset: number | typeof CHECKSUM_DONE, segmentSize = 0) {
  const offset = fixture.tap.begin(demiflow, 17, transport.length)
  fixture.arena.bytes.set(transport, offset)
  fixture.tap.end(offset, transport.length, checksumOffset, segmentSize, 8)
}

describe("PacketCapture", () => {
  test("writes the header that libpcap expects, at once", () => {
    const { capture } = setUp({}, 1000)
    expect(capture()).toEqual({ header: [0xa1b2c3d4, 2, 4, 1000, 1], records: [] })
  })

  test("writes frames of both directions with their time", () => {
    const { fixture, clock, capture } = setUp()
    const frame = ipv4(17, udp([4000, 53], pattern(20)), four)
    fixture.deliver(frame, frame)
    clock.microseconds += 900_000
    send(fixture, udp([53, 4000], pattern(30)), 6)
    fixture.tap.flush()
    const [sent] = fixture.received()
    const { records } = capture()
    expect(records.map(({ bytes }) => bytes)).toEqual([frame, frame, sent.bytes])
    expect(records.map(({ time }) => time)).toEqual([
      1_700_000_000_123_456, 1_700_000_000_123_456, 1_700_000_001_023_456,
    ])
    expect(records.map(({ originalLength }) => originalLength)).toEqual(records.map(({ bytes }) => bytes.length))
  })

  test("completes checksums in the capture only, and shows what an offload left together as it is", () => {
    const { fixture, capture } = setUp({ checksumOffload: true, udpSegmentation: true })
    send(fixture, udp([53, 4000], pattern(9001)), 6, 1000)
    fixture.tap.flush()
    const [sent] = fixture.received()
    const [record] = capture().records
    expect(record.bytes).toHaveLength(34 + 9009)
    expect(hasRightChecksum(parse(record.bytes))).toBe(true)
    expect(hasRightChecksum(parse(sent.bytes))).toBe(false)
    expect(sent.checksumStart).toBe(34)
  })

  test("does not write what the link did not take", () => {
    const { fixture, capture } = setUp()
    for (let index = 0; index < 1100; index++) {
      send(fixture, udp([53, 4000], pattern(1)), 6)
      // Fills the link in the middle of a batch.
      if (index === 23) fixture.tap.flush()
    }
    fixture.tap.flush()
    expect(capture().records).toHaveLength(1024)
    expect(fixture.drops.get("link: full")).toBe(76)
  })

  test("keeps no more of a frame than it is asked to", () => {
    const { fixture, capture } = setUp({ checksumOffload: true }, 40)
    send(fixture, udp([53, 4000], pattern(500)), 6)
    fixture.tap.flush()
    const [sent] = fixture.received()
    expect(capture().records).toMatchObject([{ originalLength: 542, bytes: { length: 40 } }])
    expect(capture().records[0].bytes).toEqual(sent.bytes.slice(0, 40))
    for (const length of [0, 65_594, Number.NaN]) expect(() => setUp({}, length)).toThrow(RangeError)
  })

  test("closes the link that it wraps", () => {
    const { fixture } = setUp()
    fixture.link.close()
    expect(fixture.tap.receive()).toBeLessThan(0)
  })
})
