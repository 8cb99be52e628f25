import { spawnSync } from "node:child_process"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { compileEarly } from "./compile-early.ts"

const setFlagsFromString = vi.fn()

beforeEach(() => {
  setFlagsFromString.mockClear()
  vi.stubGlobal("process", { ...process, getBuiltinModule: () => ({ setFlagsFromString }) })
})

afterEach(() => void vi.unstubAllGlobals())

test.each(["20.19.0", "22.1.0", "24.0.0"])("Node.js %s, which was tried, is set to compile sooner", (version) => {
  compileEarly(version)
  expect(setFlagsFromString).toHaveBeenCalled()
})

test("this one knows how", () => {
  compileEarly()
  const options = setFlagsFromString.mock.calls.map(([option]) => option as string)
  // The runtime doesn't start with unknown options.
  expect(spawnSync(process.execPath, [...options, "-e", "0"]).status).toBe(0)
})

test("others are left as they are", () => {
  compileEarly("21.7.3")
  compileEarly("99.0.0")
  expect(setFlagsFromString).not.toHaveBeenCalled()
})
