import { expect, it } from "vitest"
import { restriction } from "./landlock.ts"

it.each([-38, -95, 0])("asks for nothing where there is no Landlock: version %d", (version) => {
  expect(restriction(version, undefined)).toBeUndefined()
})

// A kernel refuses rights that it doesn't know.
it.each([
  [1, 0x1fff, 0, 0],
  [2, 0x3fff, 0, 0],
  [4, 0x7fff, 0, 0],
  [5, 0xffff, 0, 0],
  [7, 0xffff, 1, 0],
  [8, 0xffff, 1, 8],
  [99, 0xffff, 1, 8],
])("asks version %d for what it has", (version, files, scopes, flags) => {
  expect(restriction(version, undefined)).toEqual({
    kind: "restrict",
    ...{ files, scopes, flags },
    folder: undefined,
    allowed: 0,
  })
})

it("leaves files to be removed below a folder", () => {
  expect(restriction(1, 7)).toMatchObject({ folder: 7, allowed: 0x20 })
})
