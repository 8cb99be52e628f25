import { Address, MacAddress } from "@demiflow/core"
import fc from "fast-check"
import { expect, test } from "vitest"
import { encodeRouterAdvertisement, type RouterAdvertisement } from "./router-advertisement.ts"

const mac = MacAddress.parse("9a:55:9a:55:9a:55")
const hex = (advertisement: RouterAdvertisement) =>
  Buffer.from(encodeRouterAdvertisement(advertisement, mac)).toString("hex")

const HEADER = "86000000" + "4000ffff" + "00000000" + "00000000"
const LINK_LAYER = "01019a559a559a55"

/** Returns the options, by type, in hexadecimal. */
function options(advertisement: RouterAdvertisement): Map<number, string> {
  const bytes = encodeRouterAdvertisement(advertisement, mac)
  const found = new Map<number, string>()
  for (let position = 16; position < bytes.length; position += bytes[position + 1] * 8) {
    expect(bytes[position + 1]).toBeGreaterThan(0)
    const end = position + bytes[position + 1] * 8
    expect(end).toBeLessThanOrEqual(bytes.length)
    found.set(bytes[position], Buffer.from(bytes.subarray(position, end)).toString("hex"))
  }
  return found
}

test("by default there is a router, at our Ethernet address", () => {
  expect(hex({})).toBe(HEADER + LINK_LAYER)
})

// RFC 4861 4.2 (lifetime)
test("flags and lifetime say what there is", () => {
  expect(hex({ hasManagedAddresses: true }).slice(8, 16)).toBe("4080ffff")
  expect(hex({ hasOtherConfiguration: true, isDefaultRouter: false }).slice(8, 16)).toBe("40400000")
})

// RFC 4861 4.6.2, RFC 4861 6.2.1
test("the prefix is that of the address, on link and for autonomous configuration, forever", () => {
  expect(options({ prefix: Address.parse("2001:db8:1:2:3:4:5:6") }).get(3)).toBe(
    `030440c0${"f".repeat(16)}00000000${"20010db800010002"}${"0".repeat(16)}`,
  )
})

// RFC 8200 5 (mtu)
test("the MTU is advertised unless IPv6 can't work with it", () => {
  expect(options({ mtu: 65520 }).get(5)).toBe("050100000000fff0")
  expect(options({ mtu: 1279 }).has(5)).toBe(false)
})

// RFC 8106 5.1
test("name servers (RFC 8106, section 5.1)", () => {
  const nameServers = [Address.parse("2001:db8::53"), Address.parse("fe80::1")]
  expect(options({ nameServers }).get(25)).toBe(
    `19050000ffffffff${"20010db8000000000000000000000053"}${"fe800000000000000000000000000001"}`,
  )
})

// RFC 8106 5.2
test("search domains, filled up to eight bytes (RFC 8106, section 5.2)", () => {
  const names = Buffer.from("\x01a\x07example\0\x01b\0").toString("hex")
  expect(options({ searchDomains: ["a.example", "b."] }).get(31)).toBe(`1f030000ffffffff${names}0000`)
  expect(options({ searchDomains: ["", "a..b", "ä.example", "c".repeat(64)] }).has(31)).toBe(false)
})

test("whatever there is to say fits the smallest MTU", () => {
  const address = fc.nat().map((value) => new Address(0x20010db8, 0, 0, value))
  const domain = fc.array(fc.stringMatching(/^[a-z]{1,63}$/), { minLength: 1, maxLength: 5 })
  fc.assert(
    fc.property(fc.array(address, { maxLength: 100 }), fc.array(domain, { maxLength: 60 }), (nameServers, domains) => {
      const searchDomains = domains.map((labels) => labels.join("."))
      const advertisement = { prefix: Address.parse("2001:db8::1"), mtu: 1280, nameServers, searchDomains }
      expect(encodeRouterAdvertisement(advertisement, mac).length).toBeLessThanOrEqual(1280 - 40)
      expect(options(advertisement).has(3)).toBe(true)
    }),
  )
})
