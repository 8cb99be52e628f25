import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { MacAddress } from "./mac-address.ts"

const macAddress = fc
  .tuple(fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }))
  .map(([high, low]) => new MacAddress(high, low))

describe("Ethernet addresses", () => {
  test("are parsed back from their text, with colons and with dashes", () => {
    fc.assert(
      fc.property(macAddress, (address) => {
        const text = address.toString()
        expect(text).toMatch(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/)
        expect(MacAddress.parse(text).equals(address)).toBe(true)
        expect(MacAddress.parse(text.replaceAll(":", "-").toUpperCase()).equals(address)).toBe(true)
      }),
    )
  })

  test("are written in the order of the text", () => {
    const view = new DataView(new ArrayBuffer(8))
    MacAddress.parse("9a:55:01:02:03:ff").write(view, 1)
    expect([...new Uint8Array(view.buffer)]).toEqual([0, 0x9a, 0x55, 1, 2, 3, 0xff, 0])
    expect(new MacAddress().read(view, 1).toString()).toBe("9a:55:01:02:03:ff")
  })

  test.each(["", "9a:55:9a:55:9a", "9a:55:9a:55:9a:5", "9a:55:9a:55:9a:55:00", "9a559a559a55", "ga:55:9a:55:9a:55"])(
    "%j is none",
    (text) => {
      expect(MacAddress.tryParse(text)).toBeUndefined()
      expect(() => MacAddress.parse(text)).toThrow(RangeError)
    },
  )

  test.each([
    ["ff:ff:ff:ff:ff:ff", "broadcast multicast"],
    ["01:00:5e:00:00:01", "multicast"],
    ["33:33:00:00:00:01", "multicast"],
    ["00:00:00:00:00:00", "zero"],
    ["9a:55:9a:55:9a:55", ""],
    ["fe:ff:ff:ff:ff:ff", ""],
  ])("%s is %j", (text, kinds) => {
    const address = MacAddress.parse(text)
    const found = [address.isBroadcast && "broadcast", address.isMulticast && "multicast", address.isZero && "zero"]
    expect(found.filter(Boolean).join(" ")).toBe(kinds)
  })

  test("a copy is independent", () => {
    const original = new MacAddress(1, 2)
    const copy = original.clone()
    expect(new MacAddress().copyFrom(original).equals(original)).toBe(true)
    copy.low = 3
    expect(original.equals(new MacAddress(1, 2))).toBe(true)
    expect(copy.equals(original)).toBe(false)
  })
})
