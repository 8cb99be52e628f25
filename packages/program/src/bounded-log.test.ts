import type { Verbosity } from "@demiflow/config"
import { expect, it } from "vitest"
import { BoundedLog } from "./bounded-log.ts"
import { ProgramLog } from "./log.ts"

function setUp(verbosity: Verbosity = "normal", tellsInfo = true) {
  const lines: string[] = []
  const clock = { now: 5_000 }
  const sink = { write: (severity: string, message: string) => lines.push(`${severity}: ${message}`) }
  const log = new BoundedLog(new ProgramLog(verbosity, tellsInfo, [sink]), clock)
  /** What is told since it was called last. */
  const told = () => lines.splice(0)
  const repeat = (count: number) => {
    for (let index = 0; index < count; index++) log.info("again")
  }
  return { log, clock, told, repeat }
}

it("twenty lines at once, then one a second, with how many were left out", () => {
  const { clock, told, repeat, log } = setUp()
  repeat(1_020)
  expect(told()).toEqual(new Array(20).fill("info: again"))
  clock.now += 999
  repeat(1)
  expect(told()).toEqual([])
  clock.now += 1
  log.warning("something else")
  expect(told()).toEqual(["warning: 1001 more lines were left out", "warning: something else"])
  clock.now += 3_600_000
  repeat(30)
  expect(told()).toHaveLength(20)
  log.finish()
  log.finish()
  expect(told()).toEqual(["warning: 10 more lines were left out"])
})

it("errors are told always", () => {
  const { told, repeat, log } = setUp()
  repeat(30)
  told()
  log.error("the end")
  expect(told()).toEqual(["error: the end"])
})

it("what nobody is told leaves room for warnings", () => {
  const { told, repeat, log } = setUp("normal", false)
  repeat(1_000)
  log.warning("seen")
  expect(told()).toEqual(["warning: seen"])
})

it("who debugs is told everything", () => {
  const { told, repeat, log } = setUp("debug")
  repeat(1_000)
  log.debug("and this")
  expect(told()).toHaveLength(1_001)
})
