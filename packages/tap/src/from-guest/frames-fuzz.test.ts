import { Errno } from "@demiflow/core"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { Fixture } from "../../test/fixture.ts"
import { ethernet, ipv4, ipv6, join, pattern, tcpHeader, u16, u32, udp } from "../../test/packets.ts"

const four = { from: "192.0.2.2", to: "198.51.100.7" }
const six = { from: "2001:db8::2", to: "2001:db8:1::7" }
const options = Uint8Array.of(43, 0, 5, 2, 0, 0, 1, 0)
const routing = Uint8Array.of(44, 0, 0, 0, 0, 0, 0, 0)
const fragment = Uint8Array.from([60, 0, ...u16(8 | 1), ...u32(7)])
const atomic = Uint8Array.from([60, 0, ...u16(0), ...u32(7)])
const destination = Uint8Array.of(17, 0, 1, 4, 0, 0, 0, 0)
const datagram = udp([4000, 53], pattern(24))

/** One frame of each kind that the tap side treats differently. */
const frames: [string, Uint8Array][] = [
  ["ARP", ethernet(0x0806, pattern(28))],
  ["VLAN", ethernet(0x8100, pattern(28))],
  ["priority tag", ethernet(0x8100, join(Uint8Array.of(0xe0, 0, 8, 0), ipv4(17, datagram, four).subarray(14)))],
  ["802.3", ethernet(40, pattern(40))],
  ["UDP", ipv4(17, datagram, four)],
  ["UDP, padded", ipv4(17, udp([1, 2], pattern(2)), { ...four, padding: 16 })],
  ["TCP with options", ipv4(6, tcpHeader([1, 2], 3, 2, 5), four)],
  ["IPv4 options", ipv4(17, datagram, { ...four, options: [7, 7, 4, 0, 0, 0, 0, 0] })],
  ["IPv4 fragment", ipv4(17, datagram, { ...four, flagsAndOffset: 0x2001 })],
  ["IPv4 last fragment", ipv4(17, datagram, { ...four, flagsAndOffset: 3 })],
  ["UDP over IPv6", ipv6(17, datagram, six)],
  ["ICMPv6", ipv6(58, pattern(24), { ...six, from: "::" })],
  ["IPv6 headers", ipv6(0, join(options, routing, atomic, destination, datagram), six)],
  ["IPv6 fragment", ipv6(0, join(options, routing, fragment, pattern(24)), six)],
  ["IPv6 nothing", ipv6(59, pattern(24), six)],
]

/**
 * Gives one frame to the tap side. Every frame ends as a packet of a sequence or as a counted drop, or waits for other
 * fragments; nothing throws, and no sequence extends beyond the frame.
 */
function check(fixture: Fixture, frame: Uint8Array): void {
  const before = fixture.seen.length
  const drops = fixture.drops.total
  fixture.onSequence = (sequence) => {
    for (let index = 0; index < sequence.count; index++) {
      const length = sequence.endOffset[index] - sequence.networkOffset[index]
      must(sequence.networkOffset[index] <= sequence.transportOffset[index])
      must(sequence.transportOffset[index] <= sequence.endOffset[index])
      must(length <= 65_575)
      // A fragment may complete a packet larger than itself.
      if (sequence.protocol < 0) must(length === frame.length - (frame[12] === 0x81 ? 18 : 14))
    }
  }
  fixture.deliver(frame)
  const handed = fixture.seen.slice(before).reduce((sum, sequence) => sum + sequence.packets.length, 0)
  const dropped = fixture.drops.total - drops
  must(handed <= 1)
  if (handed + dropped === 0) must(mayBeFragment(frame))
  if (fixture.seen.length > 10_000) fixture.seen.length = 0
}

/** A fast `expect`, for some hundred thousand checks. */
function must(holds: boolean): void {
  if (!holds) throw new Error("does not hold")
}

function mayBeFragment(frame: Uint8Array): boolean {
  if (frame[12] === 0x08) return ((frame[20] & 0x3f) | frame[21]) !== 0
  return frame.subarray(20).includes(44)
}

describe("whatever the guest sends", () => {
  test("every length of every kind of frame", () => {
    const fixture = new Fixture()
    for (const [, frame] of frames) {
      for (let length = 0; length <= frame.length; length++) check(fixture, frame.slice(0, length))
    }
  })

  test("every value of every header byte", () => {
    const fixture = new Fixture()
    for (const [, frame] of frames) {
      for (let offset = 12; offset < Math.min(frame.length, 96); offset++) {
        for (const value of [0, 1, 2, 4, 7, 8, 15, 16, 43, 44, 59, 60, 63, 64, 127, 128, 192, 254, 255]) {
          const mutated = frame.slice()
          mutated[offset] = value
          check(fixture, mutated)
        }
      }
    }
  })

  test("several bytes changed, with a header checksum that is right nevertheless", () => {
    const fixture = new Fixture()
    const edit = fc.tuple(fc.integer({ min: 12, max: 90 }), fc.nat(255))
    fc.assert(
      fc.property(
        fc.constantFrom(...frames),
        fc.array(edit, { maxLength: 6 }),
        fc.nat(40),
        ([, frame], edits, cutOff) => {
          const mutated = frame.slice(0, frame.length - cutOff)
          for (const [offset, value] of edits) if (offset < mutated.length) mutated[offset] = value
          repairChecksum(mutated)
          check(fixture, mutated)
        },
      ),
      { numRuns: 2000 },
    )
  })

  test("random bytes", () => {
    const fixture = new Fixture()
    const types = fc.constantFrom([0x08, 0x00], [0x86, 0xdd], [0x08, 0x06], [0x81, 0x00], [0x00, 0x30])
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), types, fc.boolean(), (bytes, type, isTyped) => {
        if (isTyped && bytes.length > 14) {
          bytes.set(type, 12)
          bytes[6] &= 0xfe
          bytes[14] = type[0] === 0x86 ? 0x60 : 0x45
        }
        check(fixture, bytes)
      }),
      { numRuns: 2000 },
    )
  })

  test("random fragments: memory stays bounded, and what is put together is whole", () => {
    const fixture = new Fixture()
    const piece = fc.record({
      isV4: fc.boolean(),
      identification: fc.nat(5),
      position: fc.oneof(fc.nat(6), fc.nat(8191)),
      length: fc.oneof(fc.nat(64), fc.constantFrom(8, 16, 24, 1480)),
      hasMore: fc.boolean(),
      seed: fc.nat(1),
    })
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        for (const { isV4, identification, position, length, hasMore, seed } of pieces) {
          const bytes = pattern(length, seed)
          const more = hasMore ? 1 : 0
          const header = Uint8Array.from([17, 0, ...u16((position << 3) | more), ...u32(identification)])
          check(
            fixture,
            isV4
              ? ipv4(17, bytes, { ...four, identification, flagsAndOffset: (more << 13) | position })
              : ipv6(44, join(header, bytes), six),
          )
          fixture.clock.now += 1000
        }
      }),
      { numRuns: 100 },
    )
  })

  test("the tap side still works afterwards", () => {
    const fixture = new Fixture()
    for (const [, frame] of frames) check(fixture, frame)
    const [sequence] = fixture.deliver(ipv4(17, datagram, four))
    expect(sequence.packets[0].transport).toEqual(datagram)
    fixture.guest.close()
    expect(fixture.tap.receive()).toBe(-Errno.EPIPE)
  })
})

function repairChecksum(frame: Uint8Array): void {
  const headerLength = (frame[14] & 15) * 4
  if (frame.length < 34 || frame.length < 14 + headerLength || headerLength < 20) return
  frame.set([0, 0], 24)
  let sum = 0
  for (let index = 14; index < 14 + headerLength; index += 2) sum += (frame[index] << 8) | frame[index + 1]
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  frame.set(u16(~sum & 0xffff), 24)
}
