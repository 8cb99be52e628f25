import { afterEach, expect, test, vi } from "vitest"
import { runtimeCommand } from "./runtime.ts"

const BUNDLE = new URL("file:///pasta/dist/data-path.cjs")
const START = "/pasta/bin/start.js"

afterEach(() => {
  vi.unstubAllEnvs()
  vi.unstubAllGlobals()
})

test("a bundle is run by this runtime, under another name", () => {
  const { path, arguments: words } = runtimeCommand("pasta", BUNDLE)
  expect(path).toBe(process.execPath)
  expect(words[0]).toBe("pasta")
  expect(words.slice(-2)).toEqual([START, "/pasta/dist/data-path.cjs"])
})

test("nobody can open the debugger, not even before a script is loaded; options from outside come behind and so can", () => {
  vi.stubEnv("DEMIFLOW_NODE_OPTIONS", "--inspect=127.0.0.1:0")
  const { arguments: words } = runtimeCommand("pasta", BUNDLE)
  expect(words.slice(1)).toContain("--inspect-port=240.0.0.1:1024")
  expect(words.indexOf("--inspect=127.0.0.1:0")).toBeGreaterThan(words.indexOf("--inspect-port=240.0.0.1:1024"))
})

test("the space for new objects is small, and options from outside come behind and so can change that", () => {
  vi.stubEnv("DEMIFLOW_NODE_OPTIONS", "--max-semi-space-size=16  --trace-gc")
  const { arguments: words } = runtimeCommand("pasta", BUNDLE)
  const own = words.indexOf("--max-semi-space-size=1")
  expect(own).toBeGreaterThan(0)
  expect(words.indexOf("--max-semi-space-size=16")).toBeGreaterThan(own)
  expect(words.slice(-4)).toEqual(["--max-semi-space-size=16", "--trace-gc", START, "/pasta/dist/data-path.cjs"])
})

test("one thread compiles, whether this runtime was started so or not", () => {
  const isOption = (word: string) => word.startsWith("--v8-pool-size")
  expect(runtimeCommand("passt", BUNDLE).arguments.filter(isOption)).toEqual(["--v8-pool-size=1"])
  vi.stubGlobal("process", { ...process, execArgv: ["--v8-pool-size=1"] })
  expect(runtimeCommand("passt", BUNDLE).arguments.filter(isOption)).toEqual(["--v8-pool-size=1"])
})

test("a runtime that is newer than those that were tried gets no options that it may not know", () => {
  vi.stubGlobal("process", { ...process, versions: { ...process.versions, node: "99.0.0" } })
  const documented = ["--v8-pool-size=1", "--disallow-code-generation-from-strings", "--inspect-port=240.0.0.1:1024"]
  expect(runtimeCommand("pasta", BUNDLE).arguments).toEqual([
    "pasta",
    ...documented,
    ...process.execArgv,
    START,
    "/pasta/dist/data-path.cjs",
  ])
})

test("a data path gets no variables but those that it needs", () => {
  const given = {
    LD_LIBRARY_PATH: "/lib",
    TZ: "UTC",
    DEMIFLOW_FLOW_CAPACITY: "9",
    TOKEN: "x",
    NODE_OPTIONS: "--inspect",
  }
  vi.stubGlobal("process", { ...process, env: given })
  const { variables } = runtimeCommand("pasta", BUNDLE)
  expect(variables).toEqual(["LD_LIBRARY_PATH=/lib", "TZ=UTC", "DEMIFLOW_FLOW_CAPACITY=9"])
})

test("one file executes itself: its role and its options are in the environment", async () => {
  vi.resetModules()
  const { beOneFile } = await import("./one-file.ts")
  const { runtimeCommand } = await import("./runtime.ts")
  expect(beOneFile()).toBe(false)
  expect(runtimeCommand("pasta", BUNDLE)).toMatchObject({ path: process.execPath, arguments: ["pasta"] })
  // One of those that NODE_OPTIONS may have.
  vi.stubEnv("DEMIFLOW_NODE_OPTIONS", "--perf-basic-prof")
  vi.stubEnv("DEMIFLOW_ROLE", "another")
  const { variables } = runtimeCommand("pasta", BUNDLE)
  expect(variables).toContain("NODE_OPTIONS=--perf-basic-prof")
  // The runtime reads the first of two.
  expect(variables.filter((text) => text.startsWith("DEMIFLOW_ROLE="))).toEqual(["DEMIFLOW_ROLE=data-path"])
  vi.stubEnv("DEMIFLOW_ROLE", "data-path")
  expect(beOneFile()).toBe(true)
})
