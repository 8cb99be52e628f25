import { Address } from "@demiflow/core"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { hostileMessages } from "../mutations.fixture.ts"
import { DHCPV4_CAPTURES } from "./captures.fixture.ts"
import { type Dhcpv4Header, type Dhcpv4Message, type Dhcpv4OptionValue, emitDhcpv4, parseDhcpv4 } from "./packet.ts"
import { BOOT_FILE, Dhcpv4Option, HARDWARE_LENGTH, MAGIC_COOKIE, OPTIONS, SERVER_NAME } from "./wire.ts"

const header: Dhcpv4Header = {
  operation: 2,
  hardwareType: 1,
  hardwareLength: 6,
  hops: 3,
  transactionId: 0xdeadbeef,
  seconds: 7,
  flags: 0x8000,
  clientAddress: Address.parse("192.0.2.1"),
  yourAddress: Address.parse("192.0.2.2"),
  nextServer: Address.parse("192.0.2.3"),
  relayAddress: Address.parse("192.0.2.4"),
  hardwareAddress: Uint8Array.from({ length: 16 }, (_, index) => index + 1),
}

function parsed(bytes: Uint8Array): Dhcpv4Message {
  const result = parseDhcpv4(bytes)
  if (result.kind !== "message") throw new Error(result.reason)
  return result.message
}

function emit(options: readonly Dhcpv4OptionValue[], limit = 548): Uint8Array {
  const target = new Uint8Array(limit).fill(0xaa)
  return target.slice(0, emitDhcpv4(header, options, limit, target))
}

const option = (code: number, length: number): Dhcpv4OptionValue => ({ code, value: new Uint8Array(length).fill(code) })

describe("reading what clients send", () => {
  test("udhcpc", () => {
    const message = parsed(Buffer.from(DHCPV4_CAPTURES.udhcpcDiscoverWithNames, "hex"))
    expect(message).toMatchObject({ operation: 1, hardwareType: 1, hardwareLength: 6, transactionId: 0xe151dc5a })
    expect(String(message.clientAddress)).toBe("0.0.0.0")
    expect([...message.options.keys()]).toEqual([53, 57, 55, 12, 60, 81])
    expect(Buffer.from(message.options.get(Dhcpv4Option.hostName)!).toString()).toBe("guest")
  })

  test("dhclient", () => {
    const message = parsed(Buffer.from(DHCPV4_CAPTURES.dhclientReboot, "hex"))
    expect([...message.options.get(Dhcpv4Option.requestedAddress)!]).toEqual([192, 0, 2, 2])
    expect(message.options.get(Dhcpv4Option.serverIdentifier)).toBeUndefined()
  })
})

describe("what is malformed", () => {
  const sound = () => new Uint8Array(Buffer.from(DHCPV4_CAPTURES.udhcpcDiscover, "hex"))

  test("shorter than the fixed fields", () => {
    expect(parseDhcpv4(sound().subarray(0, OPTIONS - 1))).toEqual({ kind: "malformed", reason: "truncated" })
    expect(parseDhcpv4(new Uint8Array())).toEqual({ kind: "malformed", reason: "truncated" })
  })

  // RFC 2131 3
  test("another cookie, in what is too short for BOOTP", () => {
    const bytes = new Uint8Array(300)
    bytes.set(sound().subarray(0, 300))
    bytes[MAGIC_COOKIE] ^= 1
    expect(parseDhcpv4(bytes.subarray(0, 299))).toEqual({ kind: "malformed", reason: "no magic cookie" })
    expect(parseDhcpv4(bytes)).toMatchObject({ kind: "message", message: { options: new Map() } })
  })

  // RFC 2131 2 (hardware)
  test("a hardware address longer than its field", () => {
    const bytes = sound()
    bytes[HARDWARE_LENGTH] = 17
    expect(parseDhcpv4(bytes)).toEqual({ kind: "malformed", reason: "hardware address length" })
  })

  test("an option that reaches beyond the end, or has no length", () => {
    const bytes = emit([option(12, 3)])
    expect(parseDhcpv4(bytes.subarray(0, OPTIONS + 4))).toEqual({ kind: "malformed", reason: "option length" })
    expect(parseDhcpv4(bytes.subarray(0, OPTIONS + 1))).toEqual({ kind: "malformed", reason: "option length" })
  })

  // RFC 2132 9.3
  test.each([[[0]], [[4]], [[1, 1]], [[]]])("an overload option of %j", (value) => {
    const bytes = emit([{ code: Dhcpv4Option.overload, value: Uint8Array.from(value) }])
    expect(parseDhcpv4(bytes)).toEqual({ kind: "malformed", reason: "overload" })
  })

  test("an option that reaches beyond an overloaded field", () => {
    const bytes = emit([{ code: Dhcpv4Option.overload, value: Uint8Array.of(1) }])
    bytes.set([12, 127], BOOT_FILE)
    expect(parseDhcpv4(bytes)).toEqual({ kind: "malformed", reason: "option length" })
  })

  test("a missing end option is no mistake", () => {
    expect([...parsed(emit([option(12, 3)]).subarray(0, OPTIONS + 5)).options.keys()]).toEqual([12])
  })

  test("no mutation of a captured message, and no noise, makes it throw", () => {
    fc.assert(
      fc.property(hostileMessages(DHCPV4_CAPTURES), (bytes) => {
        const result = parseDhcpv4(bytes)
        if (result.kind === "message") expect(result.message.hardwareAddress).toHaveLength(16)
      }),
    )
  })

  test("a change of any single byte is read or refused", () => {
    const original = sound()
    for (let position = 0; position < original.length; position++) {
      for (const value of [0, 1, 0x7f, 0xff]) {
        const bytes = original.slice()
        bytes[position] = value
        expect(["message", "malformed"]).toContain(parseDhcpv4(bytes).kind)
      }
    }
  })
})

// RFC 3396 7
describe("options of one code are put together (RFC 3396)", () => {
  const message = (...fields: { code: number; value: Uint8Array }[]) => {
    const options = fields.flatMap(({ code, value }) => [code, value.length, ...value])
    return Uint8Array.of(...emit([]).subarray(0, OPTIONS), ...options, Dhcpv4Option.end)
  }

  test("whatever is repeated, and whatever lies between", () => {
    const anyOptions = fc.array(
      fc.record({ code: fc.integer({ min: 1, max: 51 }), value: fc.uint8Array({ maxLength: 255 }) }),
      { maxLength: 60 },
    )
    fc.assert(
      fc.property(anyOptions, (options) => {
        const expected = new Map<number, number[]>()
        for (const { code, value } of options) expected.set(code, [...(expected.get(code) ?? []), ...value])
        const read = [...parsed(message(...options)).options].map(([code, value]) => [code, [...value]])
        expect(read).toEqual([...expected])
      }),
    )
  })

  // Quadratic time would take most of a minute here, linear time a few milliseconds.
  test.each([
    ["client identifiers", Dhcpv4Option.clientIdentifier, 4],
    ["parameter request lists", Dhcpv4Option.parameterRequestList, 4],
    ["options of a byte", Dhcpv4Option.hostName, 1],
    ["options of nothing", Dhcpv4Option.hostName, 0],
  ])("in no more work than the message is long: the longest one, of %s", { timeout: 5000 }, (_name, code, length) => {
    const longest = new Uint8Array(65_507)
    longest.set(emit([]).subarray(0, OPTIONS))
    const count = Math.floor((longest.length - OPTIONS) / (2 + length))
    const expected = new Uint8Array(count * length)
    for (let index = 0; index < count; index++) {
      const value = Uint8Array.from({ length }, (_, byte) => index + byte)
      expected.set(value, index * length)
      longest.set([code, length, ...value], OPTIONS + index * (2 + length))
    }
    expect(Buffer.compare(parsed(longest).options.get(code)!, expected)).toBe(0)
  })

  // RFC 3396 5
  test("an overloaded field's own overload option means nothing", () => {
    const bytes = emit([{ code: Dhcpv4Option.overload, value: Uint8Array.of(3) }, option(12, 2)])
    bytes.set([Dhcpv4Option.overload, 1, 2, 12, 1, 1, Dhcpv4Option.end], BOOT_FILE)
    bytes.set([12, 1, 2, Dhcpv4Option.end], SERVER_NAME)
    const { options } = parsed(bytes)
    expect(options.get(Dhcpv4Option.overload)).toEqual(Uint8Array.of(3))
    expect(options.get(Dhcpv4Option.hostName)).toEqual(Uint8Array.of(12, 12, 1, 2))
  })
})

describe("writing", () => {
  test("what is written is read the same", () => {
    const bytes = emit([option(53, 1), option(12, 20)])
    const { options, ...fields } = parsed(bytes)
    expect(fields).toEqual(header)
    expect([...options]).toEqual([
      [53, new Uint8Array(1).fill(53)],
      [12, new Uint8Array(20).fill(12)],
    ])
  })

  // RFC 1542 2.1
  test("a message has 300 bytes at least", () => {
    expect(emit([option(53, 1)])).toHaveLength(300)
  })

  // RFC 3396 4
  test("long options are split and put together again (RFC 3396)", () => {
    expect(parsed(emit([option(6, 600)], 1400)).options.get(6)).toEqual(new Uint8Array(600).fill(6))
  })

  // RFC 2131 4.1 (end)
  test("options without room go to the boot file and server name fields", () => {
    const inOneField = emit([option(53, 1), option(6, 200), option(12, 100), option(15, 50)], 548)
    expect(inOneField.length).toBeLessThanOrEqual(548)
    expect([inOneField[BOOT_FILE], inOneField[SERVER_NAME]]).toEqual([12, 0xff])
    expect(parsed(inOneField).options.get(Dhcpv4Option.overload)).toEqual(Uint8Array.of(1))
    expect([...parsed(inOneField).options.keys()]).toEqual([52, 53, 6, 15, 12])
    const inBoth = emit([option(53, 1), option(6, 200), option(12, 100), option(15, 97), option(17, 59)], 548)
    expect(parsed(inBoth).options.get(Dhcpv4Option.overload)).toEqual(Uint8Array.of(3))
    expect([...parsed(inBoth).options.keys()]).toEqual([52, 53, 6, 15, 12, 17])
  })

  test("options that fit nowhere are left out, and nothing is announced that isn't there", () => {
    const bytes = emit([option(53, 1), option(119, 400)], 548)
    expect([...parsed(bytes).options.keys()]).toEqual([53])
    expect([bytes[BOOT_FILE], bytes[SERVER_NAME]]).toEqual([0, 0])
  })

  test("no options at all ever overflow what the client takes", () => {
    const anyOptions = fc.array(
      fc.record({ code: fc.integer({ min: 1, max: 51 }), value: fc.uint8Array({ maxLength: 300 }) }),
      { maxLength: 12 },
    )
    fc.assert(
      fc.property(anyOptions, fc.integer({ min: 300, max: 1472 }), (options, limit) => {
        const target = new Uint8Array(limit + 8).fill(0xaa)
        const length = emitDhcpv4(header, options, limit, target)
        expect(length).toBeLessThanOrEqual(limit)
        expect([...target.subarray(limit)]).toEqual(new Array(8).fill(0xaa))
        const read = parsed(target.slice(0, length)).options
        for (const code of read.keys()) {
          if (code !== Dhcpv4Option.overload) expect(options.some((sent) => sent.code === code)).toBe(true)
        }
      }),
    )
  })
})
