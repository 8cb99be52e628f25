import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { hostileMessages } from "../mutations.fixture.ts"
import { DHCPV6_CAPTURES } from "./captures.fixture.ts"
import { type Dhcpv6Message, emitDhcpv6, nestOptions, parseDhcpv6 } from "./packet.ts"

function parsed(bytes: Uint8Array): Dhcpv6Message {
  const result = parseDhcpv6(bytes)
  if (result.kind !== "message") throw new Error(result.reason)
  return result.message
}

const capture = (name: keyof typeof DHCPV6_CAPTURES) => new Uint8Array(Buffer.from(DHCPV6_CAPTURES[name], "hex"))

/** Returns a solicit with these options, as (code, value) pairs. */
function message(...options: [code: number, value: number[]][]): Uint8Array {
  const target = new Uint8Array(2000)
  const values = options.map(([code, value]) => ({ code, value: Uint8Array.from(value) }))
  return target.slice(0, emitDhcpv6(1, 0x123456, values, target))
}

const zeros = (length: number) => new Array<number>(length).fill(0)

describe("reading what dhclient sends", () => {
  test("solicit", () => {
    const solicit = parsed(capture("dhclientSolicit"))
    expect(solicit).toMatchObject({
      type: 1,
      transactionId: 0x3309c2,
      serverIdentifier: undefined,
      associations: [{ kind: "addresses", identity: 0x5e005302, addresses: [] }],
      requestedOptions: [23, 24, 39, 31],
      rapidCommit: false,
      fqdn: undefined,
    })
    expect(Buffer.from(solicit.clientIdentifier!).toString("hex")).toBe("000100013296400700005e005302")
  })

  test("request, confirm and release name the address", () => {
    for (const name of ["dhclientRequest", "dhclientConfirm", "dhclientRelease"] as const) {
      const [association] = parsed(capture(name)).associations
      expect([name, association.addresses.join()]).toEqual([name, "2001:db8::2"])
    }
  })

  test("information-request", () => {
    expect(parsed(capture("dhclientInformationRequest"))).toMatchObject({ type: 11, associations: [] })
  })
})

describe("associations", () => {
  test("of all kinds", () => {
    const { associations } = parsed(
      message(
        [3, [0, 0, 0, 1, ...zeros(8)]],
        [4, [0xff, 0xff, 0xff, 0xff]],
        [25, [0, 0, 0, 3, ...zeros(8), 0, 26, 0, 0]],
      ),
    )
    expect(associations).toEqual([
      { kind: "addresses", identity: 1, addresses: [] },
      { kind: "temporary addresses", identity: 0xffffffff, addresses: [] },
      { kind: "prefixes", identity: 3, addresses: [] },
    ])
  })
})

describe("what is malformed", () => {
  const reason = (bytes: Uint8Array) => {
    const result = parseDhcpv6(bytes)
    return result.kind === "malformed" ? result.reason : result.kind
  }

  test("shorter than a header", () => {
    for (let length = 0; length < 4; length++) expect(reason(new Uint8Array(length))).toBe("truncated")
    expect(reason(new Uint8Array(4))).toBe("message")
  })

  // RFC 8415 16 (malformed)
  test("an option that reaches beyond the end, or whose header does", () => {
    const bytes = message([6, [0, 23]])
    for (let length = 5; length < bytes.length; length++)
      expect(reason(bytes.subarray(0, length))).toBe("option length")
    bytes[7]++
    expect(reason(bytes)).toBe("option length")
  })

  test.each([
    ["an empty client identifier", [1, []]],
    ["a client identifier without more than its type", [1, [0, 1]]],
    // RFC 8415 11.1
    ["a client identifier that is too long", [1, zeros(131)]],
    ["an empty server identifier", [2, []]],
    ["half an option code", [6, [0, 23, 0]]],
    ["a name without flags", [39, []]],
    ["an association that is too short", [3, zeros(11)]],
    ["a temporary one that is too short", [4, zeros(3)]],
    ["an association whose options don't end where it ends", [3, [...zeros(12), 0, 5, 0, 24]]],
    ["an address that is too short", [3, [...zeros(12), 0, 5, 0, 23, ...zeros(23)]]],
  ] as [string, [number, number[]]][])("%s", (_name, option) => {
    expect(reason(message(option))).toBe("option value")
  })

  test("no mutation of a captured message, and no noise, makes it throw", () => {
    fc.assert(
      fc.property(hostileMessages(DHCPV6_CAPTURES), (bytes) => {
        expect(["message", "truncated", "option length", "option value"]).toContain(reason(bytes))
      }),
    )
  })
})

describe("writing", () => {
  test("options with options inside of them", () => {
    const address = { code: 5, value: Uint8Array.of(...zeros(15), 9, ...zeros(8)) }
    const association = { code: 3, value: nestOptions(Uint8Array.of(0, 0, 0, 7, ...zeros(8)), [address]) }
    const target = new Uint8Array(100)
    const bytes = target.subarray(0, emitDhcpv6(7, 0xabcdef, [association], target))
    expect(parsed(bytes)).toMatchObject({ type: 7, transactionId: 0xabcdef })
    expect(parsed(bytes).associations[0]).toMatchObject({ identity: 7 })
    expect(parsed(bytes).associations[0].addresses.join()).toBe("::9")
  })

  test("an option that doesn't fit is left out", () => {
    const target = new Uint8Array(14)
    const options = [10, 6].map((length) => ({ code: length, value: new Uint8Array(length) }))
    expect(emitDhcpv6(7, 1, options, target)).toBe(14)
    expect([...target.subarray(4, 8)]).toEqual([0, 6, 0, 6])
  })
})
