import type { Verbosity } from "@demiflow/config"
import { expect, it } from "vitest"
import { BoundedLog } from "./bounded-log.ts"
import { ProgramLog } from "./log.ts"

function setUp(verbosity: Verbosity = "normal", writesInfo = true) {
  const lines: string[] = []
  const clock = { now: 5_000 }
  const sink = { write: (severity: string, message: string) => lines.push(`${severity}: ${message}`) }
  const log = new BoundedLog(new ProgramLog(verbosity, writesInfo, [sink]), clock)
  /** The lines written since the last call. */
  const written = () => lines.splice(0)
  const repeat = (count: number) => {
    for (let index = 0; index < count; index++) log.info("again")
  }
  return { log, clock, written, repeat }
}

it("twenty lines at once, then one a second, with how many were left out", () => {
  const { clock, written, repeat, log } = setUp()
  repeat(1_020)
  expect(written()).toEqual(new Array(20).fill("info: again"))
  clock.now += 999
  repeat(1)
  expect(written()).toEqual([])
  clock.now += 1
  log.info("something else")
  expect(written()).toEqual(["warning: 1001 more lines were left out", "info: something else"])
  clock.now += 3_600_000
  repeat(30)
  expect(written()).toHaveLength(20)
  log.finish()
  log.finish()
  expect(written()).toEqual(["warning: 10 more lines were left out"])
})

it("errors are always logged", () => {
  const { written, repeat, log } = setUp()
  repeat(30)
  written()
  log.error("the end")
  expect(written()).toEqual(["error: the end"])
})

it.each([true, false])("other lines leave room for warnings, written: %s", (writesInfo) => {
  const { written, repeat, log } = setUp("normal", writesInfo)
  repeat(20)
  written()
  repeat(1_000)
  log.warning("seen")
  expect(written()).toContain("warning: seen")
})

it("warnings are limited as well", () => {
  const { clock, written, log } = setUp()
  for (let index = 0; index < 30; index++) log.warning("again")
  expect(written()).toHaveLength(20)
  clock.now += 1_000
  log.warning("again")
  expect(written()).toEqual(["warning: 10 more lines were left out", "warning: again"])
})

it("at debug, everything is logged", () => {
  const { written, repeat, log } = setUp("debug")
  repeat(1_000)
  log.debug("and this")
  expect(written()).toHaveLength(1_001)
})
