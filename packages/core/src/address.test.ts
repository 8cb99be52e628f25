import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { Address, LOOPBACK_V4, LOOPBACK_V6, UNSPECIFIED_V4, UNSPECIFIED_V6 } from "./address.ts"

const word = fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff })
const sparseWord = fc.oneof(word, fc.constant(0), fc.integer({ min: 0, max: 0xffff }))
const addressV6 = fc
  .tuple(sparseWord, sparseWord, sparseWord, sparseWord)
  .map(([word0, word1, word2, word3]) => new Address(word0, word1, word2, word3))
const addressV4 = word.map((value) => Address.fromV4(value))
const anyAddress = fc.oneof(addressV4, addressV6)

/** The eight groups of an address's text, expanded by a rule of its own: an oracle for the parser and formatter. */
function groupsOf(text: string): number[] {
  const [head, tail] = text.split("::")
  const parse = (part: string) => (part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16)))
  const before = parse(head)
  if (tail === undefined) return before
  const after = parse(tail)
  return [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after]
}

describe("text", () => {
  test("every address is parsed back from what it is formatted as", () => {
    fc.assert(
      fc.property(anyAddress, (address) => {
        expect(Address.parse(address.toString()).equals(address)).toBe(true)
      }),
    )
  })

  test("IPv6 text stands for the address's bytes", () => {
    fc.assert(
      fc.property(
        addressV6.filter((address) => !address.isV4),
        (address) => {
          const bytes = address.toBytes()
          const groups = Array.from({ length: 8 }, (_, index) => bytes[index * 2] * 256 + bytes[index * 2 + 1])
          expect(groupsOf(address.toString())).toEqual(groups)
        },
      ),
    )
  })

  // RFC 5952, sections 4 and 5.
  test.each([
    ["2001:db8:0:0:0:0:0:1", "2001:db8::1"],
    ["2001:0DB8::0001", "2001:db8::1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["1:0:0:0:0:0:0:0", "1::"],
    ["::1:2:3:4:5:6:7", "0:1:2:3:4:5:6:7"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["192.0.2.1", "192.0.2.1"],
    ["255.255.255.255", "255.255.255.255"],
  ])("%s is written %s", (text, canonical) => {
    expect(Address.parse(text).toString()).toBe(canonical)
  })

  test.each([
    "",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.-4",
    "1.2.3.4 ",
    ":",
    ":::",
    ":1",
    "1:",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::",
    "12345::",
    "g::",
    "1.2.3.4::",
    "::1.2.3.4:5",
    "::1.2.3.400",
    "fe80::1%eth0",
    "[::1]",
  ])("%j is no address", (text) => {
    expect(Address.tryParse(text)).toBeUndefined()
    expect(() => Address.parse(text)).toThrow(RangeError)
  })
})

describe("bytes", () => {
  test("round trip through bytes and through memory", () => {
    const view = new DataView(new ArrayBuffer(24))
    fc.assert(
      fc.property(anyAddress, fc.integer({ min: 0, max: 8 }), (address, offset) => {
        expect(Address.fromBytes(address.toBytes()).equals(address)).toBe(true)
        address.writeV6(view, offset)
        expect(new Address().readV6(view, offset).equals(address)).toBe(true)
        if (!address.isV4) return
        address.writeV4(view, offset)
        expect(new Address(1, 2, 3, 4).readV4(view, offset).equals(address)).toBe(true)
      }),
    )
  })

  test("IPv4 is four bytes in network order", () => {
    expect([...Address.parse("192.0.2.1").toBytes()]).toEqual([192, 0, 2, 1])
    expect([...Address.parse("2001:db8::1").toBytes()]).toEqual([32, 1, 13, 184, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
    expect(() => Address.fromBytes([1, 2, 3])).toThrow(RangeError)
  })

  test("a copy is independent", () => {
    const original = Address.parse("192.0.2.1")
    const copy = original.clone()
    copy.word3 = 0
    expect(original.toString()).toBe("192.0.2.1")
  })
})

describe("kinds", () => {
  test.each([
    ["0.0.0.0", "unspecified"],
    ["127.0.0.1", "loopback unicast"],
    ["127.255.255.255", "loopback unicast"],
    ["128.0.0.0", "unicast"],
    ["10.0.0.0", "private unicast"],
    ["10.255.255.255", "private unicast"],
    ["9.255.255.255", "unicast"],
    ["11.0.0.0", "unicast"],
    ["172.15.255.255", "unicast"],
    ["172.16.0.0", "private unicast"],
    ["172.31.255.255", "private unicast"],
    ["172.32.0.0", "unicast"],
    ["192.167.255.255", "unicast"],
    ["192.168.0.0", "private unicast"],
    ["192.169.0.0", "unicast"],
    ["::ffff:192.168.1.1", "private unicast"],
    ["100.63.255.255", "unicast"],
    ["100.64.0.0", "shared unicast"],
    ["100.127.255.255", "shared unicast"],
    ["100.128.0.0", "unicast"],
    ["192.0.2.1", "documentation unicast"],
    ["198.51.100.1", "documentation unicast"],
    ["203.0.113.1", "documentation unicast"],
    ["203.0.114.1", "unicast"],
    ["2001:db8::1", "documentation unicast"],
    ["2001:db9::1", "unicast"],
    ["3fff:fff::1", "documentation unicast"],
    ["3fff:1000::1", "unicast"],
    ["fbff::1", "unicast"],
    ["fc00::1", "private unicast"],
    ["fdff::1", "private unicast"],
    ["fe00::1", "unicast"],
    ["169.254.1.1", "linkLocal unicast"],
    ["169.253.1.1", "unicast"],
    ["223.255.255.255", "unicast"],
    ["224.0.0.1", "multicast"],
    ["239.255.255.255", "multicast"],
    ["240.0.0.1", "unicast"],
    ["255.255.255.255", "broadcast"],
    ["::", "unspecified"],
    ["::1", "loopback unicast"],
    ["::2", "unicast"],
    ["fe80::1", "linkLocal unicast"],
    ["febf::1", "linkLocal unicast"],
    ["fec0::1", "unicast"],
    ["ff02::1", "multicast"],
    ["feff::1", "unicast"],
  ])("%s is %s", (text, kinds) => {
    const address = Address.parse(text)
    const found = [
      address.isUnspecified && "unspecified",
      address.isLoopback && "loopback",
      address.isLinkLocal && "linkLocal",
      address.isPrivate && "private",
      address.isShared && "shared",
      address.isDocumentation && "documentation",
      address.isMulticast && "multicast",
      address.isLimitedBroadcast && "broadcast",
      address.isUnicast && "unicast",
    ].filter(Boolean)
    expect(found.join(" ")).toBe(kinds)
  })

  test("constants", () => {
    expect(UNSPECIFIED_V4.isV4 && UNSPECIFIED_V4.isUnspecified).toBe(true)
    expect(!UNSPECIFIED_V6.isV4 && UNSPECIFIED_V6.isUnspecified).toBe(true)
    expect(LOOPBACK_V4.toString()).toBe("127.0.0.1")
    expect(LOOPBACK_V6.toString()).toBe("::1")
  })

  test("an IPv4 address and the IPv6 address with the same last word differ", () => {
    expect(Address.parse("0.0.0.1").equals(Address.parse("::1"))).toBe(false)
    expect(UNSPECIFIED_V4.equals(UNSPECIFIED_V6)).toBe(false)
  })
})

describe("prefixes", () => {
  test("agree with a comparison bit by bit", () => {
    fc.assert(
      fc.property(anyAddress, anyAddress, fc.integer({ min: 0, max: 128 }), (first, second, length) => {
        const bits = (address: Address) =>
          [...address.toBytes()].map((byte) => byte.toString(2).padStart(8, "0")).join("")
        const prefixLength = first.isV4 ? length % 33 : length
        const expected =
          first.isV4 === second.isV4 && bits(first).slice(0, prefixLength) === bits(second).slice(0, prefixLength)
        expect(first.sharesPrefix(second, prefixLength)).toBe(expected)
      }),
    )
  })

  test.each([
    ["10.1.2.3", "10.1.200.1", 16, true],
    ["10.1.2.3", "10.1.200.1", 17, false],
    ["10.1.2.3", "10.1.2.3", 32, true],
    ["2001:db8::1", "2001:db8::2", 126, true],
    ["2001:db8::1", "2001:db8::2", 127, false],
    ["2001:db8::1", "10.0.0.1", 0, false],
  ])("%s and %s share %i bits: %s", (first, second, length, expected) => {
    expect(Address.parse(first).sharesPrefix(Address.parse(second), length)).toBe(expected)
  })
})
