import type { NetworkInterfaceInfo } from "node:os"
import { Address } from "@demiflow/core"
import { afterEach, expect, test, vi } from "vitest"
import { Zones } from "./zones.ts"

const entry = (address: string, scopeid: number) => ({ address, family: "IPv6", scopeid }) as NetworkInterfaceInfo

vi.mock("node:os", () => ({
  networkInterfaces: () => ({ one: [entry("fe80::1", 12)], two: [entry("fe80::2", 34)] }),
}))

afterEach(() => {
  vi.restoreAllMocks()
})

const address = (text: string) => Address.parse(text)

test.each([
  ["linux", "one", "two"],
  ["win32", "12", "34"],
] as const)("on %s, zones are called %s and %s", (platform, one, two) => {
  vi.spyOn(process, "platform", "get").mockReturnValue(platform)
  const zones = new Zones("one", { address: address("fe80::53"), zone: "two" })
  expect([zones.of(address("fe80::9"), 0), zones.of(address("fe80::53"), 0)]).toEqual([one, two])
  expect([zones.of(address("fe80::9"), 34), zones.of(address("fe80::9"), 56)]).toEqual([two, undefined])
  expect(zones.ofOwn(address("fe80::2"))).toBe(two)
  const scopes = [one, two].map((zone) => zones.scopeIn(`fe80::9%${zone}`, address("fe80::9")))
  expect(scopes).toEqual([0, 34])
})

test("an interface without link-local addresses is called by its name", () => {
  expect(new Zones("three").of(address("fe80::9"), 0)).toBe("three")
})
