import { Address, Demiflow, Drops, Interface } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { checkV6Addresses, hasV6Addresses } from "./ipv6-addresses.ts"
import { FromGuestReasons, PASSED } from "./reasons.ts"

const AT = 4
const SOURCE = "2001:db8::2"
const TARGET = "2001:db8:1::7"

/** A header at `AT`, of which only the addresses are filled in. */
function header(source: string, target: string): DataView {
  const bytes = new Uint8Array(AT + 40)
  bytes.set(Address.parse(source).toBytes(), AT + 8)
  bytes.set(Address.parse(target).toBytes(), AT + 24)
  return new DataView(bytes.buffer)
}

describe("the addresses of a demiflow", () => {
  const demiflow = Demiflow.of(Interface.tap, Address.parse(TARGET), 53, Address.parse(SOURCE), 4000)

  test("are those of the header, source and destination", () => {
    expect(hasV6Addresses(header(SOURCE, TARGET), AT, demiflow)).toBe(true)
    expect(hasV6Addresses(header(TARGET, SOURCE), AT, demiflow)).toBe(false)
  })

  test("differ in whichever byte the header's differ", () => {
    for (let byte = 0; byte < 32; byte++) {
      const view = header(SOURCE, TARGET)
      view.setUint8(AT + 8 + byte, view.getUint8(AT + 8 + byte) ^ 1)
      expect(hasV6Addresses(view, AT, demiflow)).toBe(false)
    }
  })
})

test.each([
  [SOURCE, TARGET, undefined],
  ["::", "ff02::1", undefined],
  ["ff02::1", TARGET, "v6Source"],
  ["::1", TARGET, "v6Loopback"],
  [SOURCE, "::1", "v6Loopback"],
  [SOURCE, "::2", undefined],
] as const)("from %s to %s: %s", (source, target, reason) => {
  const reasons = new FromGuestReasons(new Drops())
  const verdict = checkV6Addresses(header(source, target), AT, reasons)
  expect(verdict).toBe(reason === undefined ? PASSED : reasons[reason])
})

test("IPv4-mapped addresses would pass for IPv4", () => {
  const reasons = new FromGuestReasons(new Drops())
  const view = header(SOURCE, "::2")
  view.setInt32(AT + 24 + 8, 0xffff)
  expect(checkV6Addresses(view, AT, reasons)).toBe(reasons.v6Mapped)
})
