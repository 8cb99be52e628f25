import { defaultOptions } from "@demiflow/config"
import { describe, expect, it } from "vitest"
import { handOver } from "./handed-over.ts"

describe("an output file that is named by a descriptor", () => {
  it.each([
    ["/dev/fd/5", 5],
    ["/proc/self/fd/17", 17],
    ["/proc/thread-self/fd/3", 3],
    ["/dev/stdout", 1],
    ["/dev/stderr", 2],
  ])("%s is handed over at another number", (path, descriptor) => {
    const { options, takeAway, keep } = handOver({ ...defaultOptions(), logPath: path })
    expect(options.logPath).toBe("/proc/self/fd/200")
    expect(takeAway).toEqual([{ kind: "duplicate", descriptor, number: 200, mayFail: true }])
    expect(keep).toEqual([{ kind: "duplicate", descriptor: 200, number: 200, mayFail: true }])
  })

  it("is handed over once, and two keep apart", () => {
    const paths = (logPath: string, pcapPath: string) => {
      const { options, takeAway } = handOver({ ...defaultOptions(), logPath, pcapPath })
      return [options.logPath, options.pcapPath, takeAway.length]
    }
    expect(paths("/dev/fd/5", "/proc/self/fd/5")).toEqual(["/proc/self/fd/200", "/proc/self/fd/200", 1])
    expect(paths("/dev/fd/5", "/dev/fd/6")).toEqual(["/proc/self/fd/200", "/proc/self/fd/201", 2])
    expect(paths("/dev/fd/5", "/dev/fd/200")).toEqual(["/proc/self/fd/201", "/proc/self/fd/200", 2])
  })

  it.each(["/tmp/log", "/dev/null", "/proc/4711/fd/5", "fd/5"])("%s names no descriptor", (path) => {
    const { options, takeAway, keep } = handOver({ ...defaultOptions(), logPath: path, pcapPath: path })
    expect([options.logPath, options.pcapPath, takeAway, keep]).toEqual([path, path, [], []])
  })
})
