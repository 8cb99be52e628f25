import { expect, test } from "vitest"
import { staticPorts } from "./static-ports.ts"

test("every port comes once a round, and none of those that kernels give out", () => {
  const ports = staticPorts()
  const round = new Set<number>()
  for (let drawn = 0; drawn < 22_768; drawn++) round.add(ports.next().value)
  expect(round.size).toBe(22_768)
  expect(Math.min(...round)).toBe(10_000)
  expect(Math.max(...round)).toBe(32_767)
  expect(round).toContain(ports.next().value)
})
