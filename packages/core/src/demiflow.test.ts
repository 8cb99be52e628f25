import { describe, expect, test } from "vitest"
import { Address } from "./address.ts"
import { Demiflow, Interface, interfaceName } from "./demiflow.ts"

const example = () => Demiflow.of(Interface.tap, Address.parse("198.51.100.7"), 80, Address.parse("192.0.2.2"), 40_000)

describe("7. `Demiflow` is one type for all protocols, with helpers to make one", () => {
  test("made from its parts", () => {
    expect(example().toString()).toBe("tap 198.51.100.7:80 → 192.0.2.2:40000")
    const six = Demiflow.of(Interface.host, Address.parse("2001:db8::1"), 0, Address.parse("2001:db8::2"), 7)
    expect(six.toString()).toBe("host [2001:db8::1]:0 → [2001:db8::2]:7")
    expect([example().isV4, six.isV4]).toEqual([true, false])
  })

  test("keeps copies of the addresses it is made from", () => {
    const forwarding = Address.parse("192.0.2.1")
    const demiflow = Demiflow.of(Interface.tap, forwarding, 1, forwarding, 2)
    forwarding.word3 = 0
    expect(demiflow.toString()).toBe("tap 192.0.2.1:1 → 192.0.2.1:2")
  })

  test("is equal to its copy, which is independent", () => {
    const demiflow = example()
    const copy = demiflow.clone()
    expect(copy.equals(demiflow)).toBe(true)
    copy.correspondentAddress.word3 = 0
    expect(demiflow.toString()).toBe(example().toString())
  })

  test.each<[string, (demiflow: Demiflow) => void]>([
    ["interface", (demiflow) => (demiflow.interface = Interface.splice)],
    ["forwarding address", (demiflow) => (demiflow.forwardingAddress.word3 ^= 1)],
    ["forwarding port", (demiflow) => (demiflow.forwardingPort = 81)],
    ["correspondent address", (demiflow) => (demiflow.correspondentAddress.word0 ^= 1)],
    ["correspondent port", (demiflow) => (demiflow.correspondentPort = 1)],
  ])("differs by its %s", (_, change) => {
    const other = example()
    change(other)
    expect(other.equals(example())).toBe(false)
    expect(example().copyFrom(other).equals(other)).toBe(true)
  })

  test("names interfaces", () => {
    expect([Interface.tap, Interface.host, Interface.splice].map(interfaceName)).toEqual(["tap", "host", "splice"])
  })
})
