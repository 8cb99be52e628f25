import { describe, expect, test } from "vitest"
import { Fixture } from "../../test/fixture.ts"
import { hasRightChecksum, ipv6, join, macBytes, parse, pattern, udp } from "../../test/packets.ts"

const _four = { from: "192.0.2.2", to: "198.51.100.7" }
const six = { from: "2001:db8::2", to: "2001:db8:1::7" }
const datagram = (seed = 1, ports: [number, number] = [4000, 53]) => udp(ports, pattern(20, seed))

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
    // RFC 8200 4.2 (skip)
    ["hop-by-hop options", 0, hopByHop(17, 1, 0)],
    ["destination options", 60, padded(17)],
    ["destination options of several units", 60, extension(17, [0x1e, 18, ...new Array<number>(18).fill(7), 0, 0])],
    ["a routing header with no segments left", 43, extension(17, [0, 0, 0, 0, 0, 0])],
    ["all of them", 0, join(hopByHop(60, 1, 0), padded(43), extension(60, [0, 0, 0, 0, 0, 0]), padded(17))],
    // RFC 6946 4
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
    // RFC 8200 4.2 (silence)
    ["an option to be discarded for", "option that must not be skipped", 60, extension(17, [0x40, 0, 0, 0, 0, 0])],
    ["a jumbogram", "option that must not be skipped", 0, extension(17, [0xc2, 4, 0, 1, 0, 0])],
    ["an option longer than its header", "extension header cut off", 60, extension(17, [1, 5, 0, 0, 0, 0])],
    ["an option without its length", "extension header cut off", 60, extension(17, [1, 3, 0, 0, 0, 5])],
    // RFC 8200 4.7
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
    // RFC 8200 4.1
    ["names hop-by-hop options further back", 1, 40, 60, join(padded(0), padded(17))],
    // RFC 8200 4.4, RFC 5095 3
    ["names the type of a route still to go", 0, 42, 43, extension(17, 0, 1, 0, 0, 0, 0)],
    ["... behind options", 0, 50, 0, join(padded(43), extension(17, 2, 1, 0, 0, 0, 0))],
    // RFC 8200 4.2 (report)
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
    // RFC 4443 2.4 (errors)
    ["an error", ipv6(43, join(extension(58, 0, 1, 0, 0, 0, 0), Uint8Array.of(1, 4, 0, 0)), six)],
    ["an error further back", ipv6(43, join(extension(60, 0, 1, 0, 0, 0, 0), padded(58), Uint8Array.of(127)), six)],
    ["a redirect", ipv6(43, join(extension(58, 0, 1, 0, 0, 0, 0), Uint8Array.of(137, 0)), six)],
    [
      "the middle of something",
      ipv6(43, join(extension(44, 0, 1, 0, 0, 0, 0), Uint8Array.of(17, 0, 0, 8, 0, 0, 0, 7), datagram()), six),
    ],
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

  test("hears about an echo request", () => {
    const frame = ipv6(43, join(extension(58, 0, 1, 0, 0, 0, 0), Uint8Array.of(128, 0, 0, 0, 0, 1, 0, 1)), six)
    expect(answer(frame)).toHaveLength(1)
  })
})
