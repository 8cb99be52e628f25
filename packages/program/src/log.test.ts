import type { Verbosity } from "@demiflow/config"
import { describe, expect, it } from "vitest"
import { ProgramLog, type Severity } from "./log.ts"

/** The severities that reach a sink, one message each. */
function written(verbosity: Verbosity, writesInfo: boolean): Severity[] {
  const severities: Severity[] = []
  const log = new ProgramLog(verbosity, writesInfo, [{ write: (severity) => severities.push(severity) }])
  log.trace("")
  log.debug("")
  log.info("")
  log.warning("")
  log.error("")
  return severities
}

describe("a log", () => {
  it("writes problems always, and the rest to a user who asks for it", () => {
    expect(written("quiet", true)).toEqual(["warning", "error"])
    expect(written("normal", true)).toEqual(["info", "warning", "error"])
    expect(written("normal", false)).toEqual(["warning", "error"])
    expect(written("debug", false)).toEqual(["debug", "info", "warning", "error"])
    expect(written("trace", false)).toEqual(["trace", "debug", "info", "warning", "error"])
  })
})
