import type { Verbosity } from "@demiflow/config"
import { describe, expect, it } from "vitest"
import { ProgramLog, type Severity } from "./log.ts"

/** The severities of what reaches a sink, of one message each. */
function told(verbosity: Verbosity, tellsInfo: boolean): Severity[] {
  const severities: Severity[] = []
  const log = new ProgramLog(verbosity, tellsInfo, [{ write: (severity) => severities.push(severity) }])
  log.trace("")
  log.debug("")
  log.info("")
  log.warning("")
  log.error("")
  return severities
}

describe("a log", () => {
  it("writes problems always, and the rest to a user who asks for it", () => {
    expect(told("quiet", true)).toEqual(["warning", "error"])
    expect(told("normal", true)).toEqual(["info", "warning", "error"])
    expect(told("normal", false)).toEqual(["warning", "error"])
    expect(told("debug", false)).toEqual(["debug", "info", "warning", "error"])
    expect(told("trace", false)).toEqual(["trace", "debug", "info", "warning", "error"])
  })
})
