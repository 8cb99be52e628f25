import { Demiflow } from "@demiflow/core"
import { expect, test } from "vitest"
import { SparePorts } from "./spare-ports.ts"

const FIRST = 49_152

test("a dynamic port that is free is chosen at random", () => {
  const numbers = [7, -1, 0x4000]
  const taken = new Set([FIRST + 7])
  const ports = new SparePorts(
    { int32: () => numbers.shift() ?? 0 },
    ({ forwardingPort }) => !taken.has(forwardingPort),
  )
  const chosen = Array.from({ length: 2 }, () => {
    const tap = new Demiflow()
    return ports.choose(tap) ? tap.forwardingPort : -1
  })
  expect(chosen).toEqual([65_535, FIRST])
})

test("the search ends after 64 ports", () => {
  let asked = 0
  const ports = new SparePorts({ int32: () => 0 }, () => ++asked < 0)
  expect([ports.choose(new Demiflow()), asked]).toEqual([false, 64])
})
