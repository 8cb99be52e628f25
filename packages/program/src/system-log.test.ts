import { mkdtempSync, rmSync, unlinkSync } from "node:fs"
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

/** A daemon that keeps the log, at this path. */
function keeper(path: string) {
  const descriptor = native.socket(AddressFamily.unix, SocketType.datagram, 0)
  const address = unixSocketAddress(path)
  const offset = arena.reserve(4096)
  arena.bytes.set(address, offset)
  expect(native.bind(descriptor, offset, address.length)).toBe(0)
  return {
    /** The next message. */
    read(): string {
      const length = native.read(descriptor, offset, 4096)
      return Buffer.from(arena.bytes.subarray(offset, offset + length)).toString()
    },
    close(): void {
      native.close(descriptor)
      unlinkSync(path)
    },
  }
}

describe("the system's log", () => {
  it("gets one datagram for each message, cut to what it takes", () => {
    const path = join(folder, "log")
    const kept = keeper(path)
    const log = SystemLog.open(native, arena, "passt[1]", path)
    log?.write("warning", "first")
    log?.write("info", "x".repeat(5000))
    expect(kept.read()).toMatch(/^<28>\w{3} [ \d]\d \d\d:\d\d:\d\d passt\[1\]: first$/)
    expect(kept.read()).toHaveLength(1024)
    log?.close()
    kept.close()
  })

  it("is found again when who keeps it was started anew, however long that took", () => {
    const path = join(folder, "again")
    const first = keeper(path)
    const log = SystemLog.open(native, arena, "passt[1]", path)
    first.close()
    const second = keeper(path)
    log?.write("info", "at once")
    log?.write("info", "and on")
    expect([second.read(), second.read()].map((text) => text.split(": ")[1])).toEqual(["at once", "and on"])
    second.close()
    // There is no daemon, which is no reason to fail.
    log?.write("info", "lost")
    log?.write("info", "lost as well")
    const third = keeper(path)
    log?.write("info", "back")
    expect(third.read()).toMatch(/: back$/)
    log?.close()
    third.close()
  })

  it("is done without where there is none", () => {
    expect(SystemLog.open(native, arena, "passt", join(folder, "none"))).toBeUndefined()
  })
})
