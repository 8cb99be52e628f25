import { spawnSync } from "node:child_process"
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, describe, expect, it } from "vitest"
import { fileBeside } from "../native.ts"
import { encodeStepsFile } from "./encode-steps.ts"
import { NamespaceFlag, type Step } from "./steps.ts"

const folder = mkdtempSync(join(tmpdir(), "become-"))
afterAll(() => rmSync(folder, { recursive: true }))
const list = join(folder, "list")

/** The output and status of `become`, given these steps and this command. */
function become(steps: readonly Step[] | Uint8Array, command: readonly string[], environment: NodeJS.ProcessEnv = {}) {
  writeFileSync(list, steps instanceof Uint8Array ? steps : encodeStepsFile(steps))
  const program = fileBeside("become") ?? "missing"
  const { stdout, stderr, status } = spawnSync(program, [list, ...command], {
    encoding: "utf8",
    env: { PATH: process.env.PATH, ...environment },
  })
  return { stdout, stderr, status }
}

const mark = (value: string): Step => ({ kind: "setVariable", variable: `MARK=${value}` })
const showMark = ["/bin/sh", "-c", 'echo "$MARK $0 $*"', "zero", "one", "two words"]

describe("become", () => {
  it("carries the steps out, and is the command then", () => {
    expect(become([mark("done")], showMark)).toEqual({ stdout: "done zero one two words\n", stderr: "", status: 0 })
  })

  it.each([
    ["is missing", undefined],
    ["is empty", new Uint8Array()],
    ["is cut off", encodeStepsFile([mark("done")]).subarray(0, -1)],
    ["is of other kinds of steps", encodeStepsFile([mark("done")]).fill(99, 0, 1)],
    ["has a step that there isn't", encodeStepsFile([mark("done")]).fill(99, 12, 13)],
  ])("becomes the command all the same if the list %s", (_what, bytes) => {
    if (bytes === undefined) {
      const program = fileBeside("become") ?? "missing"
      expect(spawnSync(program, ["/nowhere", "/bin/echo", "there"], { encoding: "utf8" }).stdout).toBe("there\n")
    } else expect(become(bytes, showMark)).toMatchObject({ stdout: " zero one two words\n", status: 0 })
  })

  it("reports a command that there isn't, with a shell's status", () => {
    expect(become([], ["no-such-command"])).toEqual({
      stdout: "",
      stderr: "no-such-command: No such file or directory\n",
      status: 127,
    })
  })

  it("carries out the first of the lists whose conditions hold, and no other", () => {
    const choose = (...conditions: Extract<Step, { kind: "onlyIf" }>["condition"][]) =>
      become(
        conditions.map((condition, index) => ({ kind: "onlyIf", condition, steps: [mark(String(index))] })),
        showMark,
      ).stdout.split(" ")[0]
    expect(choose({ argument: "tw" }, {})).toBe("0")
    expect(choose({ argument: "three" }, { argument: "one" }, {})).toBe("1")
    // Linux has 41 capabilities.
    expect(choose({ capability: 63 }, {})).toBe("1")
    expect(choose({ capability: 99 }, {})).toBe("1")
    const everybody = /^\s*0\s+0\s+4294967295\n$/.test(readFileSync("/proc/self/uid_map", "utf8"))
    expect(choose({ isRoot: true }, {})).toBe(process.geteuid?.() === 0 && everybody ? "0" : "1")
    expect(choose({ isRoot: true, argument: "three" }, {})).toBe("1")
  })

  it("adds options for the executable that they are for, and for no other", () => {
    const { size, mtimeMs } = statSync("/bin/echo")
    const executable = { size, changedAt: Math.floor(mtimeMs / 1000) }
    const echo = (...steps: Step[]) => become(steps, ["/bin/echo", "last"]).stdout
    const add = { kind: "addOptions", options: ["first", "second"] } as const
    expect(echo({ ...add, executable })).toBe("first second last\n")
    expect(echo({ ...add, executable, options: [] })).toBe("last\n")
    expect(echo({ ...add, executable: { ...executable, size: size + 1 } })).toBe("last\n")
    expect(echo({ ...add, executable: { ...executable, changedAt: 2 ** 33 } })).toBe("last\n")
  })

  it("leaves user and group who they were in a user namespace", () => {
    const script = "id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map"
    const [user, group] = [process.geteuid?.(), process.getegid?.()]
    const { stdout } = become([{ kind: "unshareUser", flags: NamespaceFlag.ipc }], ["/bin/sh", "-c", script])
    const line = (number: unknown) => `${number} ${number} 1`
    expect(stdout.replaceAll(/ +/g, " ").replaceAll("\n ", "\n").trim().split("\n")).toEqual([
      String(user),
      String(group),
      line(user),
      line(group),
    ])
  })

  it("leaves a helper behind, with a way to it and nothing else, which ends with the command", () => {
    const script = `
      const { readFileSync, readSync, readdirSync, writeSync } = require("node:fs")
      const [descriptor, helper] = process.env.HELPER.split(" ").map(Number)
      writeSync(descriptor, "\\0")
      const answer = readSync(descriptor, Buffer.alloc(8))
      const open = readdirSync("/proc/" + helper + "/fd")
      const session = readFileSync("/proc/" + helper + "/stat", "latin1").split(" ")[5]
      console.log(JSON.stringify({ answer, open, hasOwnSession: Number(session) === helper, helper }))`
    const steps: Step[] = [
      {
        kind: "spawnHelper",
        variable: "HELPER",
        steps: [
          { kind: "mountReceived", descriptor: 0 },
          { kind: "putByte", descriptor: 0 },
          { kind: "waitByte", descriptor: 0 },
        ],
      },
    ]
    // Its output would not end before the helper's.
    const { helper: _, ...found } = JSON.parse(become(steps, [process.execPath, "-e", script]).stdout)
    expect(found).toEqual({ answer: 1, open: ["0"], hasOwnSession: true })
  })

  describe("by the name of a command", () => {
    const found = (name: string, put: (path: string) => void) => {
      const place = join(folder, name)
      mkdirSync(place)
      put(join(place, "echo"))
      return become([mark("done")], ["echo"], { PATH: place })
    }
    const shell = "/bin/sh"
    const script = `#!${shell}\necho "script $MARK"\n`

    it("carries nothing out for a script, which may search for the real one", () => {
      const put = (path: string) => writeFileSync(path, script, { mode: 0o755 })
      expect(found("script", put).stdout).toBe("script \n")
    })

    it("carries nothing out for a link to a program that is called otherwise", () => {
      const real = join(folder, "shim")
      writeFileSync(real, script, { mode: 0o755 })
      expect(found("link", (path) => symlinkSync(real, path)).stdout).toBe("script \n")
    })

    it("carries the steps out for a program that is what it is called", () => {
      // A copy of this very program, which executes the next one.
      const copy = (path: string) => copyFileSync(fileBeside("become") ?? "missing", path)
      const place = join(folder, "copy")
      mkdirSync(place)
      copy(join(place, "echo"))
      expect(become([mark("done")], ["echo", "/nowhere", ...showMark], { PATH: place }).stdout).toMatch(/^done zero/)
    })
  })

  it("is compiled beside the addon", () => {
    expect(fileBeside("become")).toBe(fileURLToPath(new URL("../../build/become", import.meta.url)))
    expect(fileBeside("no-such-program")).toBeUndefined()
  })
})
