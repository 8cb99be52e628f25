import { closeSync, openSync } from "node:fs"
import { Arena } from "@demiflow/core"
import { attachArena, NamespaceFlag } from "@demiflow/sys"
import { describe, expect, it } from "vitest"
import { isOurNamespace, networkPath, openNamespace, processOf } from "./namespace-files.ts"

const native = attachArena(new Arena(1 << 16))
const path = (path: string) => ({ kind: "path", path, userNamespace: undefined }) as const

describe("whose namespace it is", () => {
  it("is known by the number, or by a path in /proc", () => {
    const target = { kind: "process", processId: 4711, userNamespace: undefined } as const
    expect([networkPath(target), processOf(target)]).toEqual(["/proc/4711/ns/net", 4711])
    expect(processOf(path("/proc/4711/ns/net"))).toBe(4711)
    expect(processOf(path("/proc/4711/task/4712/ns/net"))).toBe(4711)
    expect(processOf(path("/proc/../proc/4711/./ns/net"))).toBe(4711)
  })

  it.each(["/run/netns/4711", "/proc/self/ns/net", "/proc/4711/fd/9", "/tmp/proc/4711/ns/net"])(
    "is no process' that is known of: %s",
    (where) => expect(processOf(path(where))).toBeUndefined(),
  )

  it("is resolved from where the user is", () => {
    expect(networkPath(path("box"))).toBe(`${process.cwd()}/box`)
  })
})

describe("openNamespace", () => {
  it("opens one of the kind that is wanted", () => {
    const descriptor = openNamespace(native, "/proc/self/ns/user", NamespaceFlag.user, "user namespace")
    expect(isOurNamespace(descriptor, "user")).toBe(true)
    expect(isOurNamespace(descriptor, "net")).toBe(false)
    closeSync(descriptor)
  })

  it.each([
    ["/proc/self/ns/net", "/proc/self/ns/net is no user namespace"],
    ["/etc/passwd", "/etc/passwd is no user namespace"],
    ["/no/such/file", "Can't open the user namespace /no/such/file: no such file or directory (ENOENT)"],
  ])("says what is wrong with %s", (where, message) => {
    const next = openSync("/dev/null", "r")
    closeSync(next)
    expect(() => openNamespace(native, where, NamespaceFlag.user, "user namespace")).toThrow(message)
    const after = openSync("/dev/null", "r")
    closeSync(after)
    expect(after).toBe(next)
  })
})
