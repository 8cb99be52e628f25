import { execFileSync } from "node:child_process"
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  lchownSync,
  linkSync,
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
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { captureTo } from "./capture.ts"
import { LogFile } from "./log-file.ts"
import { openOutputFile } from "./output-file.ts"
import { writePidFile } from "./pid-file.ts"

/** Contents of the map of users, if they are to differ from the real ones. */
const map = vi.hoisted((): { users: string | undefined } => ({ users: undefined }))
vi.mock("./read-or.ts", async (original) => {
  const { readOr } = await original<typeof import("./read-or.ts")>()
  return {
    readOr: (path: string, otherwise: string) => (path.endsWith("uid_map") && map.users) || readOr(path, otherwise),
  }
})

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

it("a FIFO that nobody reads is an error at once", () => {
  execFileSync("mkfifo", [path])
  expect(() => openOutputFile(path, constants.O_WRONLY)).toThrow("nobody has opened the FIFO or socket for reading")
})

it("a file of one's own keeps its mode, unless others than a group could read what root writes", () => {
  writeFileSync(path, "")
  chmodSync(path, 0o666)
  closeSync(openOutputFile(path))
  expect(statSync(path).mode & 0o777).toBe(process.getuid?.() === 0 ? 0o640 : 0o666)
})

describe.skipIf(process.getuid?.() !== 0)("root writes to nothing that somebody else may have put there:", () => {
  const refused = (why: RegExp) => {
    expect(() => openOutputFile(path, constants.O_WRONLY)).toThrow(why)
    expect(() => openOutputFile(path)).toThrow(why)
  }

  it("to no file of another user, which stays as it is", () => {
    writeFileSync(path, "theirs")
    chownSync(path, 1234, 1234)
    refused(/^it belongs to user 1234, and root writes to files of its own only$/)
    expect(readFileSync(path, "utf8")).toBe("theirs")
  })

  it("but the root of a user namespace does to what everybody may write", () => {
    writeFileSync(path, "theirs")
    chmodSync(path, 0o666)
    chownSync(path, 65534, 65534)
    refused(/belongs to user 65534/)
    map.users = "0 1000 1"
    write(path, "ours")
    map.users = undefined
    expect([readFileSync(path, "utf8"), statSync(path).mode & 0o777]).toEqual(["ours", 0o666])
  })

  it("to no file of root's that has another name", () => {
    writeFileSync(precious, "precious")
    linkSync(precious, path)
    refused(/^it has another name/)
    expect(readFileSync(precious, "utf8")).toBe("precious")
  })

  it("to no FIFO of another user, with a reader or without", () => {
    execFileSync("mkfifo", [path])
    chownSync(path, 1234, 1234)
    expect(() => openOutputFile(path, constants.O_WRONLY)).toThrow("nobody has opened")
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    refused(/belongs to user 1234/)
    closeSync(reader)
  })

  it("but to a FIFO of root's, and to a device", () => {
    execFileSync("mkfifo", [path])
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    write(path, "by the FIFO")
    expect(readFileSync(reader, "utf8")).toBe("by the FIFO")
    closeSync(reader)
    write("/dev/null", "nothing")
  })
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
