import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Arena } from "@demiflow/core"
import { AddressFamily, attachArena, SocketType, unixSocketAddress } from "@demiflow/sys"
import { afterAll, describe, expect, it } from "vitest"
import { formatSystemMessage, SystemLog } from "./system-log.ts"

const arena = new Arena(1 << 20)
const native = attachArena(arena)
const folder = mkdtempSync(join(tmpdir(), "system-log-"))
afterAll(() => rmSync(folder, { recursive: true }))

describe("formatSystemMessage", () => {
  it("has facility and severity, the local time with a padded day, and the tag (RFC 3164, section 4.1)", () => {
    const time = new Date(2026, 1, 3, 4, 5, 6)
    expect(formatSystemMessage("error", "passt[7]", "lost", time)).toBe("<27>Feb  3 04:05:06 passt[7]: lost")
    expect(formatSystemMessage("info", "passt[7]", "found", time)).toBe("<30>Feb  3 04:05:06 passt[7]: found")
  })
})

describe("the system's log", () => {
  it("gets one datagram for each message, cut to what it takes", () => {
    const path = join(folder, "log")
    const listening = native.socket(AddressFamily.unix, SocketType.datagram, 0)
    const address = unixSocketAddress(path)
    const offset = arena.reserve(4096)
    arena.bytes.set(address, offset)
    expect(native.bind(listening, offset, address.length)).toBe(0)
    const log = SystemLog.open(native, arena, "passt[1]", path)
    log?.write("warning", "first")
    log?.write("info", "x".repeat(5000))
    const first = native.read(listening, offset, 4096)
    const text = Buffer.from(arena.bytes.subarray(offset, offset + first)).toString()
    expect(text).toMatch(/^<28>\w{3} [ \d]\d \d\d:\d\d:\d\d passt\[1\]: first$/)
    expect(native.read(listening, offset, 4096)).toBe(1024)
    native.close(listening)
    // Nobody reads it any more: no reason to fail.
    log?.write("info", "lost")
    log?.close()
  })

  it("is done without where there is none", () => {
    expect(SystemLog.open(native, arena, "passt", join(folder, "none"))).toBeUndefined()
  })
})
