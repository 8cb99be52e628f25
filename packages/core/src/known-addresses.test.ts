import { expect, test } from "vitest"
import { Address } from "./address.ts"
import { ADDRESS_LIFETIME, ADDRESS_LIMIT, KnownAddresses } from "./known-addresses.ts"

const assigned = Address.parse("192.0.2.2")
const other = Address.parse("2001:db8::9")

test("the assigned address is known for good, one that was seen for a while", () => {
  const known = new KnownAddresses(assigned)
  expect(known.has(assigned, 0)).toBe(true)
  expect(known.has(other, 0)).toBe(false)
  known.notice(other, 1000)
  expect(known.has(other, 1000 + ADDRESS_LIFETIME - 1)).toBe(true)
  known.notice(other, 2000)
  expect(known.has(other, 1000 + ADDRESS_LIFETIME)).toBe(true)
  expect(known.has(other, 2000 + ADDRESS_LIFETIME)).toBe(false)
  expect(known.has(assigned, 2000 + ADDRESS_LIFETIME)).toBe(true)
})

test("another guest begins with the assigned one", () => {
  const known = new KnownAddresses(assigned)
  known.notice(other, 0)
  known.forget()
  expect(known.has(other, 1)).toBe(false)
  expect(known.has(assigned, 1)).toBe(true)
})

test("a guest with more addresses than there is room for is known by the latest", () => {
  const known = new KnownAddresses(undefined)
  const address = (index: number) => Address.fromV4(0x0a000000 + index)
  for (let index = 0; index <= ADDRESS_LIMIT; index++) known.notice(address(index), index)
  expect(known.has(address(0), ADDRESS_LIMIT)).toBe(false)
  expect(known.has(address(1), ADDRESS_LIMIT)).toBe(true)
  expect(known.has(address(ADDRESS_LIMIT), ADDRESS_LIMIT)).toBe(true)
})
