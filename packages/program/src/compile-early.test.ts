import { spawnSync } from "node:child_process"
import { expect, test, vi } from "vitest"
import { compileEarly } from "./compile-early.ts"

const setFlagsFromString = vi.hoisted(() => vi.fn())
vi.mock("node:v8", () => ({ setFlagsFromString }))

test("a runtime that was tried is told to compile sooner, and knows how", () => {
  compileEarly()
  const options = setFlagsFromString.mock.calls.map(([option]) => option as string)
  if (["20", "22", "24"].includes(process.versions.node.split(".")[0] ?? "")) expect(options).not.toEqual([])
  // It doesn't start with options that it doesn't know.
  expect(spawnSync(process.execPath, [...options, "-e", "0"]).status).toBe(0)
})

test("others are left as they are", () => {
  setFlagsFromString.mockClear()
  compileEarly("21.7.3")
  compileEarly("99.0.0")
  expect(setFlagsFromString).not.toHaveBeenCalled()
})
