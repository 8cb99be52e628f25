import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { encodeFilter } from "./call-filter.ts"
import { carryOut, native, type Pipe } from "./steps.fixture.ts"
import { MountFlag, NamespaceFlag, ProcessControl, type Step } from "./steps.ts"

describe("giving up", () => {
  const statusOf = (...names: string[]): Step => ({
    kind: "execute",
    paths: ["/bin/grep"],
    arguments: ["grep", "-E", `^(${names.join("|")}):`, "/proc/self/status"],
  })
  const withOutput = (output: Pipe, ...steps: Step[]): Step[] => [
    ...steps,
    { kind: "duplicate", descriptor: output.writeEnd, number: 1 },
  ]

  it("leaves an executed program no capability but those that are kept", () => {
    const { output, failures } = carryOut(({ output }) => [
      ...withOutput(output, { kind: "limitCapabilities", kept: [10, 33] }),
      statusOf("CapBnd", "CapInh", "CapAmb"),
    ])
    // A process without privileges can't change its bounding set.
    if (process.geteuid?.() !== 0) return expect(failures).toMatchObject([{ errno: 1 }])
    expect(output).toBe("CapInh:\t0000000000000000\nCapBnd:\t0000000200000400\nCapAmb:\t0000000000000000\n")
  })

  it("has a filter decide about calls, without new privileges", () => {
    const filter = encodeFilter(native, [{ call: "kill", refuse: 1, when: [[{ argument: 1, oneOf: [15] }]] }], {
      kind: "pass",
    })
    if (filter === undefined) return
    const { output, end } = carryOut(({ output }) => [
      ...withOutput(output, { kind: "control", option: ProcessControl.noNewPrivileges, value: 1 }),
      { kind: "filterCalls", filter, flags: 0 },
      {
        kind: "execute",
        paths: ["/bin/sh"],
        arguments: ["sh", "-c", "kill -s TERM $$ 2>/dev/null || echo refused; kill -s 0 $$ && echo passed"],
      },
    ])
    expect([output, end]).toEqual(["refused\npassed\n", { status: 0 }])
  })

  it("refuses a filter that isn't one, and a list whose filter lies outside of it", () => {
    const { failures } = carryOut(() => [
      { kind: "control", option: ProcessControl.noNewPrivileges, value: 1 },
      { kind: "filterCalls", filter: new Uint8Array(12), flags: 0 },
    ])
    expect(failures).toMatchObject([{ step: { kind: "filterCalls" }, errno: 22 }])
  })

  it("makes a mount the root of a mount namespace, for all who are in it", () => {
    const user = process.geteuid?.() ?? 0
    const { output, failures } = carryOut((pipes) => [
      { kind: "unshare", flags: NamespaceFlag.user | NamespaceFlag.mount },
      { kind: "writeFile", path: "/proc/self/uid_map", contents: `${user} ${user} 1` },
      { kind: "control", option: ProcessControl.setDumpable, value: 1 },
      {
        kind: "spawn",
        flags: 0,
        steps: [
          { kind: "mount", source: "none", target: "/proc", type: "tmpfs", flags: MountFlag.readOnly },
          { kind: "pivotRoot", path: "/proc" },
          { kind: "putByte", descriptor: pipes.input.writeEnd },
        ],
      },
      { kind: "waitByte", descriptor: pipes.input.readEnd },
      { kind: "open", path: "/etc", flags: 0, number: 30 },
    ])
    expect([output, failures]).toMatchObject(["", [{ step: { kind: "open", path: "/etc" }, errno: 2 }]])
  })

  it("makes a file system in memory a root that can be left", () => {
    const user = process.geteuid?.() ?? 0
    const root = mkdtempSync("/dev/shm/root-")
    mkdirSync(join(root, "place"))
    writeFileSync(join(root, "file"), "")
    const mount = { kind: "mount", source: "none", type: "", flags: MountFlag.recursive | MountFlag.private } as const
    const { failures, end } = carryOut(() => [
      { kind: "unshare", flags: NamespaceFlag.user | NamespaceFlag.mount },
      { kind: "writeFile", path: "/proc/self/uid_map", contents: `${user} ${user} 1` },
      { ...mount, target: "/" },
      { ...mount, source: root, target: root, flags: MountFlag.bind },
      { kind: "pivotRoot", path: root },
      { kind: "coverInitramfs", path: "/place" },
      { kind: "open", path: "/file", flags: 0, number: 30 },
      { ...mount, target: "/place", type: "tmpfs", flags: MountFlag.readOnly },
      { kind: "pivotRoot", path: "/place" },
      { kind: "open", path: "/file", flags: 0, number: 30, mayFail: true },
      { kind: "open", path: "/..", flags: 0, number: 30 },
      { kind: "open", path: "/../file", flags: 0, number: 30, mayFail: true },
    ])
    rmSync(root, { recursive: true })
    const missing = (path: string) => ({ step: { kind: "open", path }, errno: 2 })
    expect([failures, end]).toMatchObject([[missing("/file"), missing("/../file")], { status: 0 }])
  })

  it.skipIf(native.landlockVersion() < 1)("keeps a process from files, by Landlock, but below a folder", () => {
    const folder = mkdtempSync(join(tmpdir(), "restricted-"))
    const WRITE = 1 << 1
    const open = (path: string, mayFail: boolean): Step => ({ kind: "writeFile", path, contents: "x", mayFail })
    writeFileSync(join(folder, "other"), "")
    mkdirSync(join(folder, "below"))
    writeFileSync(join(folder, "below/kept"), "")
    const { failures, end } = carryOut(() => [
      { kind: "open", path: join(folder, "below"), flags: 0, number: 30 },
      { kind: "control", option: ProcessControl.noNewPrivileges, value: 1 },
      { kind: "restrict", files: WRITE, scopes: 0, flags: 0, folder: 30, allowed: WRITE },
      open(join(folder, "other"), true),
      open(join(folder, "below/kept"), false),
    ])
    rmSync(folder, { recursive: true })
    expect([failures, end]).toMatchObject([[{ step: { path: join(folder, "other") }, errno: 13 }], { status: 0 }])
  })

  it("goes on behind a list to try, whose first failure ends it", () => {
    const { output, failures, end } = carryOut(({ output }) => [
      ...withOutput(output),
      {
        kind: "try",
        steps: [
          { kind: "open", path: "/no/such/file", flags: 0, number: 30 },
          { kind: "putByte", descriptor: output.writeEnd },
        ],
      },
      { kind: "execute", paths: ["/bin/echo"], arguments: ["echo", "done"] },
    ])
    expect([output, end]).toEqual(["done\n", { status: 0 }])
    expect(failures).toMatchObject([{ step: { kind: "open", mayFail: true }, errno: 2 }])
  })
})
