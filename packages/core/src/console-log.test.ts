import { afterEach, describe, expect, test, vi } from "vitest"
import { ConsoleLog, type ConsoleLogLevel } from "./console-log.ts"

const methods = ["error", "warn", "info", "debug", "trace"] as const

/** The calls of the console that messages of all levels cause. */
function linesOf(log: ConsoleLog): string[] {
  const lines: string[] = []
  for (const method of methods) {
    vi.spyOn(console, method).mockImplementation((message: unknown) => void lines.push(`${method} ${message}`))
  }
  for (const level of ["error", "warning", "info", "debug", "trace"] as const) log[level](level)
  return lines
}

describe("ConsoleLog", () => {
  afterEach(() => vi.restoreAllMocks())

  test.each<[ConsoleLogLevel, string[]]>([
    ["error", ["error error"]],
    ["warning", ["error error", "warn warning"]],
    ["info", ["error error", "warn warning", "info info"]],
    ["debug", ["error error", "warn warning", "info info", "debug debug"]],
    ["trace", ["error error", "warn warning", "info info", "debug debug", "debug trace"]],
  ])("at level %s, less important messages are left out", (level, lines) => {
    const log = new ConsoleLog(level)
    expect(linesOf(log)).toEqual(lines)
    expect([log.isDebug, log.isTrace]).toEqual([lines.length > 3, lines.length > 4])
  })

  test("a prefix stands before each message", () => {
    expect(linesOf(new ConsoleLog("warning", "guest 7"))).toEqual(["error guest 7: error", "warn guest 7: warning"])
  })
})
