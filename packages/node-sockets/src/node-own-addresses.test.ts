import { readFileSync } from "node:fs"
import { networkInterfaces, platform } from "node:os"
import { Address } from "@demiflow/core"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { NodeOwnAddresses } from "./node-own-addresses.ts"

vi.mock("node:fs", () => ({ readFileSync: vi.fn() }))
vi.mock("node:os", () => ({ networkInterfaces: vi.fn(), platform: vi.fn() }))

const files = vi.mocked(readFileSync)

function kernelHas(address: string): void {
  files.mockImplementation((path) =>
    `${path}`.endsWith("fib_trie") ? `Local:\n  |-- ${address}\n     /32 host LOCAL\n` : "",
  )
}

function kernelHides(): void {
  files.mockImplementation(() => {
    throw Object.assign(new Error("EACCES: permission denied"), { code: "EACCES" })
  })
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] })
  vi.mocked(platform).mockReturnValue("linux")
})
afterEach(() => {
  vi.useRealTimers()
})

test("an address that comes or goes counts within a second, and a guest has nothing read more often", () => {
  kernelHas("192.0.2.1")
  const own = new NodeOwnAddresses()
  const [before, after] = ["192.0.2.1", "192.0.2.2"].map((text) => Address.parse(text))
  expect([own.isOwn(before), own.isOwn(after)]).toEqual([true, false])
  kernelHas("192.0.2.2")
  files.mockClear()
  vi.advanceTimersByTime(999)
  expect([own.isOwn(before), own.isOwn(after)]).toEqual([true, false])
  expect(files).not.toHaveBeenCalled()
  vi.advanceTimersByTime(1)
  expect([own.isOwn(before), own.isOwn(after)]).toEqual([false, true])
  expect(files).toHaveBeenCalledTimes(2)
})

test("what Linux doesn't report is an error at first, and later everything is the host's", () => {
  kernelHas("192.0.2.1")
  const own = new NodeOwnAddresses()
  kernelHides()
  expect(() => new NodeOwnAddresses()).toThrow(expect.objectContaining({ code: "EACCES" }))
  const others = ["198.51.100.1", "2001:db8::1"].map((text) => Address.parse(text))
  expect(others.map((address) => own.isOwn(address))).toEqual([false, false])
  vi.advanceTimersByTime(1_000)
  expect(others.map((address) => own.isOwn(address))).toEqual([true, true])
  kernelHas("192.0.2.1")
  vi.advanceTimersByTime(1_000)
  expect(others.map((address) => own.isOwn(address))).toEqual([false, false])
})

test("elsewhere, the addresses are those that the runtime lists", () => {
  vi.mocked(platform).mockReturnValue("darwin")
  const list = ["192.0.2.1", "fe80::1%en0"].map((address) => ({ address }))
  vi.mocked(networkInterfaces).mockReturnValue({ en0: list as never, en1: undefined })
  const own = new NodeOwnAddresses()
  const isOwn = (text: string) => own.isOwn(Address.parse(text))
  expect(["192.0.2.1", "fe80::1", "127.9.9.9", "::1", "::", "224.0.0.1"].map(isOwn)).not.toContain(false)
  expect(["192.0.2.2", "fe80::2"].map(isOwn)).toEqual([false, false])
})
