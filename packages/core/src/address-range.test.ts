import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { Address } from "./address.ts"
import { AddressRange } from "./address-range.ts"
import { AddressRangeSet, NON_PUBLIC_ADDRESSES } from "./address-range-set.ts"

const word = fc.oneof(
  fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }),
  fc.constantFrom(0, 1, -1, 0x7fff_ffff, -0x8000_0000, 0xffff),
)
const address = fc.oneof(
  word.map((value) => Address.fromV4(value)),
  fc.tuple(word, word, word, word).map((words) => new Address(...words)),
)
const range = fc
  .tuple(address, fc.nat(128))
  .map(([inside, length]) => new AddressRange(inside, inside.isV4 ? length % 33 : length))

/** An address as a number, and its family: an oracle for comparisons. */
function numberOf(of: Readonly<Address>): bigint {
  return of.toBytes().reduce((value, byte) => value * 256n + BigInt(byte), 0n)
}

function containsByNumbers(of: AddressRange, other: Address): boolean {
  if (of.isV4 !== other.isV4) return false
  const hostBits = BigInt((of.isV4 ? 32 : 128) - of.prefixLength)
  return numberOf(of.network) >> hostBits === numberOf(other) >> hostBits
}

describe("AddressRange", () => {
  test.each([
    ["10.0.0.0/8", "10.0.0.0/8"],
    ["0.0.0.0/0", "0.0.0.0/0"],
    ["192.0.2.1", "192.0.2.1/32"],
    ["2001:0DB8::/32", "2001:db8::/32"],
    ["::/0", "::/0"],
    ["fe80::1", "fe80::1/128"],
    ["::ffff:10.0.0.0/104", "10.0.0.0/8"],
    ["::ffff:0:0/96", "0.0.0.0/0"],
    ["::ffff:192.0.2.1", "192.0.2.1/32"],
  ])("%s is written %s", (text, canonical) => {
    const parsed = AddressRange.parse(text)
    expect(parsed.toString()).toBe(canonical)
    expect(AddressRange.parse(canonical).equals(parsed)).toBe(true)
  })

  test.each([
    ["", "write an address, or a prefix"],
    ["10.0.0.0/8/8", "write an address, or a prefix"],
    ["example.org/8", "write an address, or a prefix"],
    ["10/8", "write an address, or a prefix"],
    ["10.0.0.0/", "between 0 and 32"],
    ["10.0.0.0/33", "between 0 and 32"],
    ["10.0.0.0/08", "between 0 and 32"],
    ["10.0.0.0/-1", "between 0 and 32"],
    ["10.0.0.0/255.0.0.0", "between 0 and 32"],
    ["2001:db8::/129", "between 0 and 128"],
    ["10.0.0.1/8", 'beyond the prefix: write "10.0.0.0/8"'],
    ["2001:db8::1/64", 'beyond the prefix: write "2001:db8::/64"'],
    ["::ffff:10.0.0.0/8", "at least 96 bits"],
  ])("%j is refused: %s", (text, reason) => {
    expect(() => AddressRange.parse(text)).toThrow(RangeError)
    expect(() => AddressRange.parse(text)).toThrow(reason)
    expect(AddressRange.tryParse(text)).toBeUndefined()
  })

  test("a prefix length that the family doesn't have is refused", () => {
    expect(() => new AddressRange(Address.parse("10.0.0.0"), 33)).toThrow("0 to 32 bits, not 33")
    expect(() => new AddressRange(Address.parse("::"), 1.5)).toThrow("0 to 128 bits, not 1.5")
  })

  test("contains an address, and a range, as comparisons of numbers say", () => {
    fc.assert(
      fc.property(range, address, range, (one, other, another) => {
        expect(one.contains(other)).toBe(containsByNumbers(one, other))
        const isInside = containsByNumbers(one, another.network.clone()) && containsByNumbers(one, another.last)
        expect(one.containsRange(another)).toBe(isInside)
      }),
    )
  })

  test("begins and ends with its first and last address", () => {
    fc.assert(
      fc.property(range, (one) => {
        expect(one.contains(one.network) && one.contains(one.last)).toBe(true)
        const size = 2n ** BigInt((one.isV4 ? 32 : 128) - one.prefixLength)
        expect(numberOf(one.last) - numberOf(one.network) + 1n).toBe(size)
      }),
    )
  })

  test("of IPv6 contains no IPv4 address, of whatever length", () => {
    const mapped = Address.parse("10.0.0.1")
    expect(AddressRange.parse("::/0").contains(mapped)).toBe(false)
    expect(new AddressRange(Address.parse("::1:0:0"), 80).contains(mapped)).toBe(false)
    expect(AddressRange.parse("0.0.0.0/0").contains(Address.parse("::1"))).toBe(false)
  })
})

describe("AddressRangeSet", () => {
  test("contains what one of its ranges contains", () => {
    const near = fc.tuple(fc.array(range, { maxLength: 40 }), address).chain(([ranges, any]) =>
      fc.record({
        ranges: fc.constant(ranges),
        // Bounds are where mistakes would be.
        tried: fc.constantFrom(any, ...ranges.flatMap((one) => [one.network.clone(), one.last])),
        step: fc.constantFrom(0, 1, -1),
      }),
    )
    fc.assert(
      fc.property(near, ({ ranges, tried, step }) => {
        tried.word3 = (tried.word3 + step) | 0
        const expected = ranges.some((one) => containsByNumbers(one, tried))
        expect(new AddressRangeSet(ranges).contains(tried)).toBe(expected)
      }),
      { numRuns: 1000 },
    )
  })

  test("keeps its ranges in order, without those that others contain", () => {
    const texts = [
      "fd00::/8",
      "10.1.0.0/16",
      "::1",
      "200.0.0.0/8",
      "10.0.0.0/8",
      "10.0.0.0/8",
      "fc00::/7",
      "10.0.0.0/9",
    ]
    const set = new AddressRangeSet(texts)
    expect(set.ranges.join(" ")).toBe("10.0.0.0/8 200.0.0.0/8 ::1/128 fc00::/7")
    expect(set.size).toBe(4)
  })

  test("is empty without ranges, and refuses what no range is", () => {
    expect(new AddressRangeSet([]).contains(Address.parse("::"))).toBe(false)
    expect(() => new AddressRangeSet(["10.0.0.0/8", "10.0.0.1/8"])).toThrow('write "10.0.0.0/8"')
  })

  test.each(["8.8.8.8", "192.0.1.0", "172.32.0.1", "2606:4700::1111", "64:ff9b::808:808", "2001:200::1"])(
    "%s is public",
    (text) => expect(NON_PUBLIC_ADDRESSES.contains(Address.parse(text))).toBe(false),
  )

  test.each([
    "0.1.2.3",
    "10.1.1.1",
    "127.0.0.1",
    "169.254.169.254",
    "255.255.255.255",
    "::",
    "::1",
    "::808:808",
    "100:0:0:1::1",
    "2001:0:1::1",
    "2001:2::1",
    "2002:a00:1::1",
    "fd00::1",
    "fec0::1",
    "ff02::1",
  ])("%s is not public", (text) => expect(NON_PUBLIC_ADDRESSES.contains(Address.parse(text))).toBe(true))
})
