import { expect, it } from "vitest"
import { describeWall } from "./raise.ts"

it.each([
  [true, true, "Sandbox: no new privileges, not dumpable, an empty root, filtered system calls"],
  [false, true, "Sandbox: no new privileges, not dumpable, filtered system calls; without an empty root"],
  [false, false, "Sandbox: no new privileges, not dumpable; without an empty root, filtered system calls"],
])("says what holds with an empty root: %s, a filter: %s", (hasEmptyRoot, hasFilter, line) => {
  expect(describeWall({ hasEmptyRoot, hasFilter })).toBe(line)
})
