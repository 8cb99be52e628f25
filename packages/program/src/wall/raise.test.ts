import { expect, it } from "vitest"
import { describeWall } from "./raise.ts"

const SURE = "Sandbox: no new privileges, not dumpable"

it.each([
  [true, true, true, `${SURE}, an empty root, filtered system calls, Landlock`],
  [false, true, true, `${SURE}, filtered system calls, Landlock; without an empty root`],
  [true, false, true, `${SURE}, an empty root, Landlock; without filtered system calls`],
  [false, false, false, `${SURE}; without an empty root, filtered system calls, Landlock`],
])(
  "says what holds with an empty root: %s, a filter: %s, Landlock: %s",
  (hasEmptyRoot, hasFilter, isRestricted, line) => {
    expect(describeWall({ hasEmptyRoot, hasFilter, isRestricted })).toBe(line)
  },
)
