import { SMALLEST_FRAME } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { Fixture } from "../../test/fixture.ts"
import { parse, pattern, tcpHeader, udp } from "../../test/packets.ts"
import { flushed, four, send, six } from "../../test/sending.ts"

/** A fixture whose memory is full of other bytes. */
function setUp(capabilities = {}): Fixture {
  const fixture = new Fixture({ smallestFrame: SMALLEST_FRAME, ...capabilities })
  for (let count = 0; count < 3; count++) {
    send(fixture, four, 253, new Uint8Array(60_000).fill(0xee))
    flushed(fixture)
  }
  return fixture
}

/** The bytes behind the packet in its frame. */
function padding(bytes: Uint8Array, packetLength: number): number[] {
  return [...bytes.subarray(14 + packetLength)]
}

describe("frames are padded with zeros to 60 bytes", () => {
  test("of IPv4 and of anything but IP", () => {
    const fixture = setUp()
    send(fixture, four, 17, udp([53, 4000], pattern(1)), { checksumOffset: 6 })
    send(fixture, four, 253, pattern(0))
    const offset = fixture.tap.beginFrame(fixture.tap.ourMac, 0x0806, 28)
    fixture.arena.bytes.set(pattern(28), offset)
    fixture.tap.endFrame(offset, 28)
    const frames = flushed(fixture)
    expect(frames.map(({ bytes }) => bytes.length)).toEqual([60, 60, 60])
    expect(frames.map(({ bytes }, index) => padding(bytes, [29, 20, 28][index]))).toEqual([
      Array(17).fill(0),
      Array(26).fill(0),
      Array(18).fill(0),
    ])
    expect(parse(frames[0].bytes.subarray(0, 43)).transport.slice(8)).toEqual(pattern(1))
    expect([...frames[2].bytes.subarray(14, 42)]).toEqual([...pattern(28)])
  })

  test("of IPv6 only where there is next to nothing in them", () => {
    const fixture = setUp()
    send(fixture, six, 253, pattern(2))
    send(fixture, six, 253, pattern(8))
    expect(flushed(fixture).map(({ bytes }) => bytes.length)).toEqual([60, 62])
  })

  // Room comes in steps of 64 bytes: less than a link with 200 bytes needs, more than one with 60.
  test.each([SMALLEST_FRAME, 200])(
    "of packets that are open together, each in its own room of %i bytes",
    (smallestFrame) => {
      const fixture = setUp({ smallestFrame })
      const first = fixture.tap.begin(four, 253, 1)
      const second = fixture.tap.begin(four, 253, 1)
      fixture.arena.bytes[second] = 7
      fixture.tap.end(second, 1, -1)
      fixture.arena.bytes[first] = 5
      fixture.tap.end(first, 1, -1)
      const frames = flushed(fixture)
      expect(frames.map(({ bytes }) => [bytes.length, bytes[34], ...padding(bytes, 21)])).toEqual([
        [smallestFrame, 7, ...Array(smallestFrame - 35).fill(0)],
        [smallestFrame, 5, ...Array(smallestFrame - 35).fill(0)],
      ])
    },
  )

  test("of pieces: segments and fragments", () => {
    const fixture = setUp()
    const segment = new Uint8Array([...tcpHeader([80, 40_000], 1, 0x10), ...pattern(1461)])
    send(fixture, four, 6, segment, { checksumOffset: 16, segmentSize: 1460, headerLength: 20 })
    send(fixture, four, 253, pattern(1488))
    const frames = flushed(fixture)
    expect(frames.map(({ bytes }) => bytes.length)).toEqual([1514, 60, 1514, 60])
    expect([padding(frames[1].bytes, 41), padding(frames[3].bytes, 28)]).toEqual([Array(5).fill(0), Array(18).fill(0)])
  })

  test("of a link that wants more", () => {
    const fixture = setUp({ smallestFrame: 200, headroom: 12 })
    for (let count = 0; count < 2; count++) {
      send(fixture, four, 253, pattern(1))
      send(fixture, four, 253, pattern(1488))
    }
    const frames = flushed(fixture)
    expect(frames.map(({ bytes }) => bytes.length)).toEqual([200, 1514, 200, 200, 1514, 200])
    for (const [index, length] of [21, 1500, 28, 21, 1500, 28].entries()) {
      expect(padding(frames[index].bytes, length).every((byte) => byte === 0)).toBe(true)
    }
  })
})

test("frames to a link that takes any are as short as what is in them", () => {
  const fixture = new Fixture({ smallestFrame: 0 })
  send(fixture, four, 253, pattern(1))
  expect(flushed(fixture)[0].bytes.length).toBe(35)
})
