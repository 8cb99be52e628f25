import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Address, AddressRange, AddressRangeSet } from "@demiflow/core"
import { expect, test } from "vitest"
import { bytesPerCall } from "./bytes-per-call.ts"

setFlagsFromString("--expose-gc")
const heap = { used: () => process.memoryUsage().heapUsed, collect: runInNewContext("gc") as () => void }

test("a lookup in ranges of addresses allocates nothing", () => {
  const texts = Array.from({ length: 500 }, (_, index) => [`10.${index >> 1}.0.0/17`, `2001:db8:${index}::/48`])
  const set = new AddressRangeSet(["200.0.0.0/8", "ff00::/8", ...texts.flat()])
  const range = AddressRange.parse("200.0.0.0/8")
  const tried = ["10.9.1.1", "200.1.2.3", "192.0.2.1", "2001:db8:7::1", "ff02::1"].map((text) => Address.parse(text))
  let found = 0
  let index = 0
  const bytes = bytesPerCall(heap, () => {
    const address = tried[index++ % tried.length]
    if (set.contains(address)) found++
    if (range.contains(address)) found++
  })
  expect(bytes).toBeLessThan(1)
  expect(found).toBeGreaterThan(0)
})
