import { describe, expect, it } from "vitest"
import { describeWall, listParts } from "./parts.ts"

describe("the parts of the wall", () => {
  const all = {
    namespaces: true,
    emptyRoot: true,
    noCapabilities: true,
    noNewPrivileges: true,
    notDumpable: true,
    noRings: true,
    filter: true,
    landlock: true,
  }

  it("are named in one line, those that hold first", () => {
    const rest = "no new privileges, not dumpable, no io_uring, filtered system calls"
    expect(describeWall(all)).toBe(`Sandbox: namespaces of its own, an empty root, no capabilities, ${rest}, Landlock`)
    expect(describeWall({ ...all, emptyRoot: false, landlock: false })).toBe(
      `Sandbox: namespaces of its own, no capabilities, ${rest}; without an empty root, Landlock`,
    )
  })

  it("are listed by the same names, with reasons", () => {
    const findings = {
      namespaces: "unshare: no",
      emptyRoot: "unshare: no",
      noCapabilities: undefined,
      noNewPrivileges: undefined,
      notDumpable: undefined,
      noRings: undefined,
      filter: undefined,
      landlock: undefined,
    }
    const lines = listParts(findings).trimEnd().split("\n")
    expect(lines.slice(0, 3)).toEqual([
      "no: namespaces of its own: unshare: no",
      "no: an empty root: unshare: no",
      "yes: no capabilities",
    ])
    const names = describeWall(all).replace("Sandbox: ", "").split(", ")
    expect(lines.map((line) => line.split(": ")[1])).toEqual(names)
  })
})
