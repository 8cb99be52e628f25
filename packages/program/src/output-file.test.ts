import {
  closeSync,
  constants,
  existsSync,
  lchownSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { captureTo } from "./capture.ts"
import { LogFile } from "./log-file.ts"
import { openOutputFile } from "./output-file.ts"
import { writePidFile } from "./pid-file.ts"

let folder: string
let path: string
let precious: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "output-file-"))
  path = join(folder, "file")
  precious = join(folder, "precious")
})
afterEach(() => rmSync(folder, { recursive: true }))

function write(at: string, text: string): void {
  const file = openOutputFile(at, constants.O_WRONLY)
  writeSync(file, text)
  closeSync(file)
}

it("a file is made for its owner, and emptied", () => {
  write(path, "from last time")
  write(path, "new")
  expect([readFileSync(path, "utf8"), statSync(path).mode & 0o777]).toEqual(["new", 0o600])
})

it("what the system says is passed on", () => {
  expect(() => write(join(folder, "none", "file"), "")).toThrow(/ENOENT/)
  expect(() => write(folder, "")).toThrow(/EISDIR/)
})

it("a link of one's own is followed, to a file that isn't there as well", () => {
  symlinkSync(precious, path)
  write(path, "by the link")
  write(path, "again")
  expect(readFileSync(precious, "utf8")).toBe("again")
})

it("a path that names a descriptor opens what is open there", () => {
  const file = openSync(path, "w")
  write(`/dev/fd/${file}`, "by the descriptor")
  closeSync(file)
  expect(readFileSync(path, "utf8")).toBe("by the descriptor")
})

describe.skipIf(process.getuid?.() !== 0)("root, given a link of somebody else's,", () => {
  it.each([
    ["log", () => new LogFile(path, 40_960, "")],
    ["PID file", () => writePidFile(path, 1)],
    ["capture", () => captureTo(path, { capabilities: {} } as never, { warning: () => {} })],
  ])("writes no %s, and says why", (_what, open) => {
    writeFileSync(precious, "precious")
    symlinkSync(precious, path)
    lchownSync(path, 1234, 1234)
    expect(open).toThrow(/it is a symbolic link of user 1234, which root doesn't follow$/)
    expect(readFileSync(precious, "utf8")).toBe("precious")
    rmSync(precious)
    expect(open).toThrow(/symbolic link/)
    expect(existsSync(precious)).toBe(false)
  })
})
