import { chmodSync, mkdtempSync, readFileSync, readlinkSync, rmdirSync } from "node:fs"
import { constants, tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { loadNative } from "../native.ts"
import { encodeSteps } from "./encode-steps.ts"
import { executablePaths, lastArguments, roomForArguments } from "./search-path.ts"
import { arena, carryOut, native, type Outcome, type Pipes, shell } from "./steps.fixture.ts"
import { NamespaceFlag, ResourceLimit, type Step } from "./steps.ts"

describe("steps", () => {
  it("execute a program with the caller's variables", () => {
    process.env.DEMIFLOW_TEST = "inherited"
    const { output, end } = carryOut(({ output }) => [
      { kind: "duplicate", descriptor: output.writeEnd, number: 1 },
      shell('echo "$0 $1 $DEMIFLOW_TEST"; exit 7', "zero", "one"),
    ])
    expect(output).toBe("zero one inherited\n")
    expect(end).toEqual({ status: 7 })
  })

  it("execute a program with variables of its own", () => {
    const { output } = carryOut(({ output }) => [
      { kind: "duplicate", descriptor: output.writeEnd, number: 1 },
      { kind: "execute", paths: ["/usr/bin/env"], arguments: ["env"], variables: ["A=1", "B=2 3"] },
    ])
    expect(output).toBe("A=1\nB=2 3\n")
  })

  it("execute the first of several paths that can be", () => {
    const { end, failures } = carryOut(() => [
      {
        kind: "execute",
        paths: ["/nowhere/sh", "/etc/passwd/sh", "/etc", "/bin/sh"],
        arguments: ["sh", "-c", "exit 5"],
      },
    ])
    expect(end).toEqual({ status: 5 })
    expect(failures).toEqual([])
  })

  it("report that a program isn't found, rather than that some folder may not be read", () => {
    const folder = mkdtempSync(join(tmpdir(), "launch-"))
    chmodSync(folder, 0)
    const { end } = carryOut(() => [
      ...(process.getuid?.() === 0 ? [{ kind: "setUser", user: 65534 } as const] : []),
      { kind: "execute", paths: [`${folder}/nowhere`, "/nowhere/nowhere"], arguments: ["nowhere"] },
    ])
    rmdirSync(folder)
    expect(end).toEqual({ status: 127 })
  })

  it("report a program that isn't found, with a shell's status", () => {
    const { end, failures } = carryOut(() => [{ kind: "execute", paths: ["/nowhere"], arguments: ["nowhere"] }])
    expect(end).toEqual({ status: 127 })
    expect(failures.map(({ step, errno }) => [step.kind, errno])).toEqual([["execute", constants.errno.ENOENT]])
  })

  it("report a program that can't be executed, with a shell's status", () => {
    const { end, failures } = carryOut(() => [
      { kind: "execute", paths: ["/etc/passwd", "/nowhere"], arguments: ["passwd"] },
    ])
    expect(end).toEqual({ status: 126 })
    expect(failures.map(({ errno }) => errno)).toEqual([constants.errno.EACCES])
  })

  it("start with no signal blocked or ignored", () => {
    const { output } = carryOut(({ output }) => [
      { kind: "duplicate", descriptor: output.writeEnd, number: 1 },
      shell("grep -E 'Sig(Blk|Ign)' /proc/self/status"),
    ])
    expect(output).toBe("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n")
  })

  it("end at the first that fails, unless it may", () => {
    const { end, failures, output } = carryOut(({ output }) => [
      { kind: "duplicate", descriptor: output.writeEnd, number: 1 },
      { kind: "writeFile", path: "/nowhere/1", contents: "x", mayFail: true },
      { kind: "writeFile", path: "/nowhere/2", contents: "x" },
      shell("echo not reached"),
    ])
    expect(end).toEqual({ status: 1 })
    expect(output).toBe("")
    expect(failures.map(({ step }) => step)).toEqual([
      { kind: "writeFile", path: "/nowhere/1", contents: "x", mayFail: true },
      { kind: "writeFile", path: "/nowhere/2", contents: "x" },
    ])
  })

  it("keep the report when its number is wanted for something else", () => {
    const { failures } = carryOut(({ report, output }) => [
      { kind: "duplicate", descriptor: output.writeEnd, number: report.writeEnd },
      { kind: "enterNamespace", descriptor: 9999, type: 0 },
    ])
    expect(failures.map(({ errno }) => errno)).toEqual([constants.errno.EBADF])
  })

  it("open files, and close others", () => {
    const { output } = carryOut(({ output }) => [
      { kind: "open", path: "/dev/null", flags: 0, number: 0 },
      { kind: "duplicate", descriptor: output.writeEnd, number: 1 },
      { kind: "duplicate", descriptor: output.writeEnd, number: 2 },
      { kind: "open", path: "/proc/self/stat", flags: 0, number: 3 },
      { kind: "open", path: "/dev/zero", flags: 0, number: 4 },
      { kind: "closeOnExecFrom", first: 4 },
      shell("readlink /proc/$$/fd/0; for n in 1 2 3 4; do [ -h /proc/$$/fd/$n ] && echo $n; done"),
    ])
    expect(output).toBe("/dev/null\n1\n2\n3\n")
  })

  it("set a limit without going over the hard one", () => {
    const { output } = carryOut(({ output }) => [
      { kind: "duplicate", descriptor: output.writeEnd, number: 1 },
      { kind: "setLimit", resource: ResourceLimit.openFiles, soft: 123 },
      shell("ulimit -Sn"),
    ])
    expect(output).toBe("123\n")
  })

  it("end silently if what is waited for never comes", () => {
    const { end, failures } = carryOut(({ input }) => [
      { kind: "close", descriptor: input.writeEnd },
      { kind: "waitByte", descriptor: input.readEnd },
      shell("exit 9"),
    ])
    expect(end).toEqual({ status: 1 })
    expect(failures).toEqual([])
  })

  it("end silently if a pipe is closed that stands for somebody's life", () => {
    const { end, failures } = carryOut(({ input, output }) => [
      { kind: "close", descriptor: input.writeEnd },
      // Never comes, and never ends: the process itself holds the other end.
      { kind: "waitByte", descriptor: output.readEnd, life: input.readEnd },
      shell("exit 9"),
    ])
    expect(end).toEqual({ status: 1 })
    expect(failures).toEqual([])
  })

  it("go on with what is waited for while the pipe of a life stays open", () => {
    const { end } = carryOut(({ input, output }) => [
      { kind: "putByte", descriptor: input.writeEnd },
      { kind: "waitByte", descriptor: input.readEnd, life: output.readEnd },
      shell("exit 9"),
    ])
    expect(end).toEqual({ status: 9 })
  })

  it("start a child, wait for it, and see if it has ended", () => {
    const { output, failures } = carryOut(({ output, input }) => [
      { kind: "duplicate", descriptor: output.writeEnd, number: 1 },
      {
        kind: "spawn",
        flags: 0,
        steps: [{ kind: "waitByte", descriptor: input.readEnd }, shell("exit 3")],
      },
      { kind: "openChildFile", file: "ns/net", flags: 0, number: 5 },
      { kind: "openChild", number: 6 },
      { kind: "putByte", descriptor: input.writeEnd },
      shell("readlink /proc/$$/fd/5; readlink /proc/$$/fd/6 | grep -o pidfd"),
    ])
    expect(failures).toEqual([])
    expect(output).toBe(`${readlinkSync("/proc/self/ns/net")}\npidfd\n`)
  })
})

describe("capabilities", () => {
  /** The effective and ambient capabilities of a program executed in a user namespace that maps nobody. */
  const inNamespace = (...steps: Step[]): Outcome =>
    carryOut(({ output }) => [
      { kind: "duplicate", descriptor: output.writeEnd, number: 1 },
      { kind: "unshare", flags: NamespaceFlag.user },
      ...steps,
      shell("id -u; grep -E 'Cap(Eff|Amb|Bnd)' /proc/self/status"),
    ])
  const setsOf = ({ output, failures }: Outcome): Record<string, string | undefined> => {
    expect(failures).toEqual([])
    expect(output).toMatch(/^65534\n/)
    return Object.fromEntries(output.split("\n").map((line) => line.split(":\t") as [string, string?]))
  }
  const NONE = "0".repeat(16)

  it("are gone when a program is executed by a user other than 0", () => {
    expect(setsOf(inNamespace())).toMatchObject({ CapEff: NONE, CapAmb: NONE })
  })

  it("are all there if they are kept", () => {
    const { CapEff, CapAmb, CapBnd } = setsOf(inNamespace({ kind: "keepCapabilities" }))
    expect(CapEff).not.toBe(NONE)
    expect(CapEff).toBe(CapBnd)
    expect(CapAmb).toBe(CapBnd)
  })

  it("that somebody has not are not given", () => {
    // The change of user drops all capabilities, and none comes back.
    const steps: Step[] = process.getuid?.() === 0 ? [{ kind: "setUser", user: 65534 }] : []
    const { output, failures } = carryOut(({ output }) => [
      { kind: "duplicate", descriptor: output.writeEnd, number: 1 },
      ...steps,
      { kind: "keepCapabilities" },
      shell("grep -E 'Cap(Eff|Amb)' /proc/self/status"),
    ])
    expect(failures).toEqual([])
    expect(output).toBe(`CapEff:\t${NONE}\nCapAmb:\t${NONE}\n`)
  })
})

describe("an init", () => {
  const init =
    (script: string) =>
    (pipes: Pipes): Step[] => [
      { kind: "duplicate", descriptor: pipes.output.writeEnd, number: 1 },
      { kind: "spawn", flags: 0, steps: [shell(script)] },
      { kind: "closeFrom", first: 0 },
      { kind: "init" },
    ]

  it("ends with its command's status", () => {
    expect(carryOut(init("exit 42")).end).toEqual({ status: 42 })
  })

  it("answers 128 + n after signal n", () => {
    expect(carryOut(init("kill -KILL $$")).end).toEqual({ status: 137 })
    expect(carryOut(init("kill -SEGV $$")).end).toEqual({ status: 139 })
  })

  it("passes signals on that other processes send", () => {
    const { output, end } = carryOut(
      init('trap "echo got USR1; exit 4" USR1; kill -USR1 $PPID; while :; do read x < /proc/self/comm; done'),
    )
    expect(output).toBe("got USR1\n")
    expect(end).toEqual({ status: 4 })
  })

  it("holds no pipe open", () => {
    // The command closes its end: the reader sees the end while init still runs, which then ends with the command.
    const { output } = carryOut(init("echo before; exec >&- 2>&-; kill -STOP $PPID; kill -CONT $PPID; exit 0"))
    expect(output).toBe("before\n")
  })

  it("ends with the other end of a pipe", () => {
    const { end } = carryOut(({ input }) => [
      {
        kind: "spawn",
        flags: 0,
        steps: [
          { kind: "close", descriptor: input.writeEnd },
          { kind: "endWithPipe", descriptor: input.readEnd, signal: 0 },
          { kind: "spawn", flags: 0, steps: [shell("exec sleep 5")] },
          { kind: "init" },
        ],
      },
      { kind: "close", descriptor: input.writeEnd },
      { kind: "awaitChild" },
    ])
    // Otherwise the command's status would have been 0.
    expect(end).toEqual({ status: 1 })
  })

  it("shows nobody an environment that has been wiped", () => {
    const count = "tr -d '\\0' < /proc/$PPID/environ | wc -c"
    const { output } = carryOut((pipes) => [
      { kind: "duplicate", descriptor: pipes.output.writeEnd, number: 1 },
      { kind: "wipeVariables" },
      { kind: "spawn", flags: 0, steps: [{ ...shell(count), variables: ["PATH=/bin:/usr/bin"] }] },
      { kind: "awaitChild" },
    ])
    expect(output.trim()).toBe("0")
  })

  it("reports that its command isn't found", () => {
    const { end, failures } = carryOut(() => [
      { kind: "spawn", flags: 0, steps: [{ kind: "execute", paths: ["/nowhere"], arguments: ["nowhere"] }] },
      { kind: "init" },
    ])
    expect(end).toEqual({ status: 127 })
    expect(failures.map(({ errno }) => errno)).toEqual([constants.errno.ENOENT])
  })

  it("is the first process of new namespaces, and ends everything in them", () => {
    const user = process.getuid?.() ?? 0
    const { output, end, failures } = carryOut(({ input, output }) => [
      {
        kind: "spawn",
        flags: NamespaceFlag.user | NamespaceFlag.pid | NamespaceFlag.mount | NamespaceFlag.network,
        steps: [
          { kind: "waitByte", descriptor: input.readEnd },
          { kind: "duplicate", descriptor: output.writeEnd, number: 1 },
          { kind: "mount", source: "proc", target: "/proc", type: "proc", flags: 0 },
          {
            kind: "spawn",
            flags: 0,
            steps: [shell("sleep 1000 & echo $$ $PPID $(cat /proc/self/uid_map); cat /proc/1/comm; exit 6")],
          },
          { kind: "closeFrom", first: 0 },
          { kind: "init" },
        ],
      },
      { kind: "writeChildFile", file: "setgroups", contents: "deny" },
      { kind: "writeChildFile", file: "uid_map", contents: `0 ${user} 1` },
      { kind: "writeChildFile", file: "gid_map", contents: `0 ${process.getgid?.() ?? 0} 1` },
      { kind: "putByte", descriptor: input.writeEnd },
      { kind: "openChildFile", file: "ns/net", flags: 0, number: 50 },
      { kind: "openChild", number: 51 },
      { kind: "duplicate", descriptor: output.writeEnd, number: 1 },
      // A shell waits only for its own children; the end of the pipe shows that all processes in the namespace have
      // ended.
      shell("true"),
    ])
    expect(failures).toEqual([])
    expect(output.split("\n")[0]).toBe(`2 1 0 ${user} 1`)
    expect(end).toEqual({ status: 0 })
  })
})

describe("encodeSteps", () => {
  it("nests the steps of children", () => {
    const inner: Step = { kind: "setUser", user: 5 }
    const outer: Step = { kind: "spawn", flags: 0x40, steps: [inner, inner] }
    const last: Step = { kind: "newSession" }
    const encoded = encodeSteps([outer, last])
    expect([...encoded.words]).toEqual([20, 0x40, 4, 3, 5, 3, 5, 11])
    expect(encoded.stepAt(0)).toBe(outer)
    expect(encoded.stepAt(3)).toBe(inner)
    expect(encoded.stepAt(7)).toBe(last)
    expect(encoded.stepAt(1)).toBeUndefined()
  })

  it("refuses text with a zero byte", () => {
    expect(() => encodeSteps([{ kind: "writeFile", path: "a\0b", contents: "" }])).toThrow(TypeError)
  })

  it("is refused by the native side when cut short, lengthened or out of bounds", () => {
    const run = (words: readonly number[], strings = "ab\0") => {
      const at = arena.reserve(4 * words.length + 64, 8)
      arena.words.set(words, at >> 2)
      arena.bytes.set(new TextEncoder().encode(strings), at + 4 * words.length)
      return native.runSteps(at, words.length, at + 4 * words.length, strings.length, 2)
    }
    const refused = -constants.errno.EINVAL
    expect(run([0])).toBe(refused)
    expect(run([25])).toBe(refused)
    expect(run([3])).toBe(refused)
    expect(run([20, 0, 2, 11])).toBe(refused)
    expect(run([20, 0, -1, 11])).toBe(refused)
    // A child's steps that end in the middle of one.
    expect(run([20, 0, 1, 13, 0, 0])).toBe(refused)
    expect(run([20, 0, 4, 21, 1, 13, 0, 0])).toBe(refused)
    const nested = (depth: number): number[] => (depth === 0 ? [] : [21, 2 * (depth - 1), ...nested(depth - 1)])
    expect(run(nested(20))).toBe(refused)
    expect(run([1, 0, 0, 3])).toBe(refused)
    expect(run([1, 3, 0, 1])).toBe(refused)
    expect(run([1, -1, 0, 1])).toBe(refused)
    expect(run([1, 0, 0, -1])).toBe(refused)
    expect(run([22, 1, 1, -1, 0])).toBe(refused)
    expect(run([22, 1, 0, -1, 0])).toBe(refused)
    expect(run([22, 1, 1, -1, 0, 3])).toBe(refused)
    expect(run([22, 0x7fffffff, 0x7fffffff, 0x7fffffff, 0, 0])).toBe(refused)
    expect(run([11], "unterminated")).toBe(refused)
    expect(run([11], "")).toBe(refused)
    expect(loadNative().runSteps(-4, 1, 0, 1, 2)).toBe(-constants.errno.EFAULT)
    expect(loadNative().runSteps(0, 1 << 28, 0, 1, 2)).toBe(-constants.errno.EFAULT)
  })
})

describe("executablePaths", () => {
  it("searches PATH unless there is a slash", () => {
    expect(executablePaths("ls", "/a:/b")).toEqual(["/a/ls", "/b/ls"])
    expect(executablePaths("./ls", "/a:/b")).toEqual(["./ls"])
    expect(executablePaths("ls", undefined)).toEqual(["/bin/ls", "/usr/bin/ls"])
  })

  it("takes an empty entry for the working directory, and finds nothing for an empty command", () => {
    expect(executablePaths("ls", ":/b")).toEqual(["ls", "/b/ls"])
    expect(executablePaths("", "/a")).toEqual([])
  })
})

describe("lastArguments", () => {
  it("answers the bytes of the last arguments", () => {
    const line = Buffer.from("node\0pasta\0-f\0echo\0\xff\0\0", "latin1")
    expect(lastArguments(line, 3)).toEqual([Buffer.from("echo"), Buffer.from([0xff]), Buffer.from("")])
    expect(lastArguments(line, 0)).toEqual([])
    expect(lastArguments(line, 99)).toHaveLength(6)
  })

  it("agrees with this process' own command line", () => {
    const line = readFileSync("/proc/self/cmdline")
    expect(lastArguments(line, 1)).toHaveLength(1)
  })
})

it("knows what arguments take at most", () => {
  const list = ["", "ä", "x".repeat(1000)]
  const bare = encodeSteps([{ kind: "execute", paths: ["/p"], arguments: [] }])
  const full = encodeSteps([{ kind: "execute", paths: ["/p"], arguments: list }])
  const taken = ({ words, strings }: typeof full) => words.byteLength + strings.length
  const room = roomForArguments(list)
  expect(room % 8).toBe(0)
  expect(room - (taken(full) - taken(bare))).toBeGreaterThanOrEqual(0)
  expect(room - (taken(full) - taken(bare))).toBeLessThan(8)
})
