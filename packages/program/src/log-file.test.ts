import { execFileSync } from "node:child_process"
import {
  chmodSync,
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { LogFile } from "./log-file.ts"

const folder = mkdtempSync(join(tmpdir(), "log-file-"))
afterAll(() => rmSync(folder, { recursive: true }))

function lines(path: string): string[] {
  const text = readFileSync(path, "latin1")
  expect(text.endsWith("\n")).toBe(true)
  return text.slice(0, -1).split("\n")
}

describe("a log file", () => {
  it("begins anew with its title, and is for its owner only", () => {
    const path = join(folder, "new")
    writeFileSync(path, "from last time\n")
    chmodSync(path, 0o600)
    const log = new LogFile(path, 1000, "program started")
    log.write("warning", "something", 1.23456)
    log.write("info", "ordinary", 20)
    log.close()
    expect(lines(path)).toEqual(["program started", "1.2346: warning: something", "20.0000: info:    ordinary"])
    const other = join(folder, "mode")
    new LogFile(other, 1000, "").close()
    expect(statSync(other).mode & 0o777).toBe(0o600)
  })

  it("never exceeds its size: the oldest lines go, whole, and the newest stay in order", () => {
    const path = join(folder, "full")
    const log = new LogFile(path, 1000, "program started")
    for (let number = 0; number < 500; number++) {
      log.write("info", `message ${number} ${"x".repeat(number % 40)}`, 0)
      expect(statSync(path).size).toBeLessThanOrEqual(1000)
    }
    log.close()
    const numbers = lines(path).map((line) => Number(/^0\.0000: info: {4}message (\d+) x*$/.exec(line)?.[1]))
    expect(numbers.at(-1)).toBe(499)
    expect(numbers).toEqual(numbers.map((_, index) => 500 - numbers.length + index))
    expect(statSync(path).size).toBeGreaterThan(400)
  })

  it("leaves out a line that is longer than the whole file may be", () => {
    const path = join(folder, "long")
    const log = new LogFile(path, 100, "program started")
    log.write("info", "x".repeat(200), 0)
    log.close()
    expect(lines(path)).toEqual(["program started"])
  })

  it("says which file can't be written", () => {
    expect(() => new LogFile(join(folder, "nowhere", "log"), 1000, "")).toThrow(/nowhere\/log: ENOENT/)
  })
})

describe("a log in a pipe", () => {
  it("reaches the reader, and doesn't wait for one", () => {
    const path = join(folder, "pipe")
    execFileSync("mkfifo", [path])
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const log = new LogFile(path, 1e6, "program started")
    log.write("info", "ordinary", 20)
    const bytes = Buffer.alloc(1000)
    expect(bytes.toString("latin1", 0, readSync(reader, bytes))).toBe("program started\n20.0000: info:    ordinary\n")
    // More than a pipe holds.
    for (let number = 0; number < 3000; number++) log.write("info", "x".repeat(100), 0)
    expect(readSync(reader, bytes)).toBe(1000)
    closeSync(reader)
    log.write("info", "nobody reads it", 0)
    log.close()
  })
})
