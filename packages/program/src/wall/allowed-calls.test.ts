import { Arena } from "@demiflow/core"
import { attachArena, encodeFilter } from "@demiflow/sys"
import { expect, it } from "vitest"
import { BEFORE_RUNTIME, passtCalls, pastaCalls } from "./allowed-calls.ts"

const native = attachArena(new Arena(1 << 16))

it.each([
  ["passt", passtCalls(1, [3])],
  ["passt with vhost-user", passtCalls(1, [3], { isVhostUser: true, changesPorts: true })],
  ["pasta", pastaCalls(1, true)],
  ["a runtime", BEFORE_RUNTIME],
] as const)("every call on the list of %s is known, and the list fits into a filter", (_whose, rules) => {
  // Throws for unknown names, and for conditions that a jump can't span.
  expect(encodeFilter(native, rules, { kind: "signal" })?.length ?? 0).toBeLessThanOrEqual(4096 * 8)
})
