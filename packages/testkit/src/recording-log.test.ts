import { expect, it } from "vitest"
import { RecordingLog } from "./recording-log.ts"

it("keeps messages of its level and above", () => {
  const all = (level: "info" | "debug" | "trace") => {
    const log = new RecordingLog(level)
    log.error("e")
    log.warning("w")
    log.info("i")
    log.debug("d")
    log.trace("t")
    return log
  }
  expect(all("trace").messages()).toEqual(["e", "w", "i", "d", "t"])
  expect(all("debug").messages()).toEqual(["e", "w", "i", "d"])
  expect(all("info").messages()).toEqual(["e", "w", "i"])
  expect(all("trace").messages("warning")).toEqual(["w"])
  expect([all("info").isDebug, all("debug").isDebug, all("debug").isTrace]).toEqual([false, true, false])
  expect(String(all("info"))).toBe("error: e\nwarning: w\ninfo: i")
})
