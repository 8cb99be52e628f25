import { Address, Demiflow, Interface, silentLog } from "@demiflow/core"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { Fixture } from "../../test/fixture.ts"
import { ethernet, ipv4, ipv6, join, pattern, tcpHeader, u16, u32, udp } from "../../test/packets.ts"
import { describeFrame } from "./packet-text.ts"
import { Tracer } from "./tracer.ts"

const four = { from: "192.0.2.2", to: "198.51.100.7" }
const six = { from: "2001:db8::2", to: "2001:db8:1::7" }
const text = (frame: Uint8Array) => describeFrame(new DataView(frame.buffer), 0, frame.length)
const arp = (operation: number) =>
  Uint8Array.from([0, 1, 8, 0, 6, 4, ...u16(operation), 2, 0, 0, 0, 0, 9, 192, 0, 2, 2, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1])

describe("a frame in words", () => {
  test.each<[string, Uint8Array]>([
    ["192.0.2.2:4000 → 198.51.100.7:53 udp, 20 bytes", ipv4(17, udp([4000, 53], pattern(20)), { ...four, padding: 9 })],
    ["[2001:db8::2]:4000 → [2001:db8:1::7]:53 udp, 3 bytes", ipv6(17, udp([4000, 53], pattern(3)), six)],
    [
      "192.0.2.2:4000 → 198.51.100.7:80 tcp SYN seq 4294967295 window 65535, 0 bytes",
      ipv4(6, tcpHeader([4000, 80], 0xffff_ffff, 2, 5), four),
    ],
    [
      "192.0.2.2:4000 → 198.51.100.7:80 tcp FIN PSH ACK seq 7 ack 0 window 65535, 10 bytes",
      ipv4(6, join(tcpHeader([4000, 80], 7, 0x19, 3), pattern(10)), four),
    ],
    ["192.0.2.2:1 → 198.51.100.7:2 tcp no flags seq 0 window 65535, 0 bytes", ipv4(6, tcpHeader([1, 2], 0, 0), four)],
    [
      "192.0.2.2 → 198.51.100.7 icmp echo request id 258 seq 772, 4 bytes",
      ipv4(1, Uint8Array.of(8, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8), four),
    ],
    [
      "2001:db8::2 → 2001:db8:1::7 icmp echo reply id 258 seq 772, 0 bytes",
      ipv6(58, Uint8Array.of(129, 0, 0, 0, 1, 2, 3, 4), six),
    ],
    ["192.0.2.2 → 198.51.100.7 icmp type 3 code 1, 28 bytes", ipv4(1, join(Uint8Array.of(3, 1), pattern(26)), four)],
    ["192.0.2.2 → 198.51.100.7 protocol 253, 5 bytes", ipv4(253, pattern(5), four)],
    ["192.0.2.2 → 198.51.100.7 protocol 17, 5 bytes", ipv4(17, pattern(5), four)],
    ["192.0.2.2 → 198.51.100.7 fragment at 1480, 16 bytes", ipv4(17, pattern(16), { ...four, flagsAndOffset: 185 })],
    [
      "2001:db8::2 → 2001:db8:1::7 fragment at 1448, 16 bytes",
      ipv6(44, join(Uint8Array.from([17, 0, ...u16(1449), ...u32(1)]), pattern(16)), six),
    ],
    ["arp who has 192.0.2.1? tell 192.0.2.2", ethernet(0x0806, arp(1))],
    ["arp 192.0.2.2 is at 02:00:00:00:00:09", ethernet(0x0806, arp(2))],
    ["arp operation 9", ethernet(0x0806, arp(9))],
    ["EtherType 0x88cc, 34 bytes", ethernet(0x88cc, pattern(20))],
    ["EtherType 0x0800, 24 bytes", ethernet(0x0800, pattern(10))],
    ["frame of 3 bytes", pattern(3)],
  ])("%s", (expected, frame) => {
    expect(text(frame)).toBe(expected)
  })

  test("whatever is in it", () => {
    const types = fc.constantFrom([0x08, 0x00], [0x86, 0xdd], [0x08, 0x06])
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), types, (bytes, type) => {
        const frame = Uint8Array.from(bytes)
        if (frame.length >= 14) frame.set(type, 12)
        expect(text(frame)).toMatch(/^\S.*\S$/)
      }),
      { numRuns: 500 },
    )
  })
})

describe("Tracer", () => {
  function setUp(isTrace: boolean) {
    const lines: string[] = []
    const log = { ...silentLog, isTrace, trace: (message: string) => lines.push(message) }
    const offloads = { checksumOffload: true, udpSegmentation: true }
    return { lines, fixture: new Fixture(offloads, {}, (link) => new Tracer(link, log)) }
  }

  function exchange(fixture: Fixture): void {
    fixture.deliver(ipv4(17, udp([4000, 53], pattern(20)), four))
    const demiflow = Demiflow.of(Interface.tap, Address.parse(four.to), 53, Address.parse(four.from), 4000)
    const transport = udp([53, 4000], pattern(2000))
    const offset = fixture.tap.begin(demiflow, 17, transport.length)
    fixture.arena.bytes.set(transport, offset)
    fixture.tap.end(offset, transport.length, 6, 1000, 8)
    fixture.tap.flush()
    expect(fixture.received()).toHaveLength(1)
    expect(fixture.seen).toHaveLength(1)
  }

  test("writes a line for each frame, both ways", () => {
    const { lines, fixture } = setUp(true)
    exchange(fixture)
    expect(lines).toEqual([
      "from guest: 192.0.2.2:4000 → 198.51.100.7:53 udp, 20 bytes",
      "to guest: 198.51.100.7:53 → 192.0.2.2:4000 udp, 2000 bytes in segments of 1000",
    ])
  })

  test("writes nothing to a log that takes no traces", () => {
    const { lines, fixture } = setUp(false)
    exchange(fixture)
    expect(lines).toEqual([])
  })

  test("closes the link that it wraps", () => {
    const { fixture } = setUp(true)
    fixture.link.close()
    expect(fixture.tap.receive()).toBeLessThan(0)
  })
})
