/** What a guest that has taken over the data path can reach of the host. */
import {
  chmodSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { expectParts } from "./cases/sandbox.ts"
import { Holder } from "./harness/holders.ts"
import { childrenOf, statusOf } from "./harness/inspection.ts"
import { passtExecutable, reachable, repository, temporaryFolder } from "./harness/machine.ts"
import { Passt, type PasstProcessOptions, runPasst } from "./harness/passt.ts"
import { Pasta, startPastaProcess } from "./harness/pasta.ts"
import { eventually, type Program } from "./harness/processes.ts"
import { useTopology } from "./harness/topology.ts"

const topology = useTopology()

const NO_CAPABILITIES = "0000000000000000"
const SETS = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]

const ATTACKER = `--require=${reachable(join(import.meta.dirname, "programs/attacker.cjs"))}`

/**
 * A data path that runs JavaScript of the guest's, as if the guest had broken in. For passt, it is the runtime that is
 * started.
 */
const attackedBy = (variable: "NODE_OPTIONS" | "DEMIFLOW_NODE_OPTIONS") => ({
  expectsRefusals: true,
  environment: {
    [variable]: ATTACKER,
    DEMIFLOW_ATTACKER_ADDON: reachable(join(repository, "packages/sys/build/demiflow.node")),
  },
})

/** The status of every thread of a process. */
function ofThreads(pid: number, name: string): readonly string[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => statusOf(Number(thread), name))
}

async function during(
  body: (pid: number, passt: Passt) => Promise<void> | void,
  options: readonly string[] = [],
  settings: PasstProcessOptions = {},
): Promise<void> {
  const passt = await Passt.start(topology, options, settings)
  try {
    await body(passt.pid, passt)
  } finally {
    await passt.stop()
  }
}

/** Asserts the properties of every data path, however it was started. */
function expectFiltered(pid: number): void {
  expect(new Set(ofThreads(pid, "Seccomp"))).toEqual(new Set(["2"]))
  expect(new Set(ofThreads(pid, "NoNewPrivs"))).toEqual(new Set(["1"]))
}

/** Asserts the properties of a data path with an empty root. */
function expectWalled(pid: number): void {
  expectFiltered(pid)
  for (const set of SETS) expect([set, ...new Set(ofThreads(pid, set))]).toEqual([set, NO_CAPABILITIES])
  expect(readdirSync(`/proc/${pid}/root/`)).toEqual([])
  for (const name of ["mnt", "ipc", "uts"]) {
    expect(readlinkSync(`/proc/${pid}/ns/${name}`)).not.toBe(readlinkSync(`/proc/self/ns/${name}`))
  }
}

/** A variable that a data path doesn't use. */
const SECRET = { TOKEN: "of the caller's" }

function expectFewVariables(pid: number): void {
  const variables = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").slice(0, -1)
  expect(variables.filter((variable) => !/^(LD_LIBRARY_PATH|TZ|DEMIFLOW_\w+)=/.test(variable))).toEqual([])
}

/** Waits for the attacker's report. */
async function expectRefusals(program: Program): Promise<void> {
  const [report] = await program.printed(/^attempts: .*$/m, "stderr")
  expect(report).toMatch(/^attempts: \d\d, succeeded: \{\}$/)
  expect(existsSync("/tmp/written-by-a-data-path")).toBe(false)
}

describe("a data path that the guest has taken over", () => {
  test.each(["ordinary", "root"] as const)("of pasta, reaches nothing of the host, started by %s", async (as) => {
    const command = ["--config-net", "--", "cat"]
    const pasta = startPastaProcess(topology.host, command, as, {
      ...attackedBy("DEMIFLOW_NODE_OPTIONS"),
      keepInputOpen: true,
    })
    try {
      await expectRefusals(pasta)
    } finally {
      pasta.kill()
    }
  })

  test.each(["ordinary", "root"] as const)("of passt, reaches nothing of the host, started by %s", (as) =>
    during(
      async (_pid, { program }) => {
        await expectRefusals(program)
      },
      [],
      { ...attackedBy("NODE_OPTIONS"), as },
    ),
  )

  test("has what it tried in the log, once each", () =>
    during(
      async (_pid, { program }) => {
        await program.printed(/^passt: System call \d+ was refused/m, "stderr")
        const lines = program.stderr.match(/System call \d+ was refused/g) ?? []
        expect(new Set(lines).size).toBe(lines.length)
      },
      [],
      attackedBy("NODE_OPTIONS"),
    ))
})

describe("what passt gives up by the time that it is ready", () => {
  test("in the foreground", () =>
    during(
      (pid) => {
        expectWalled(pid)
        expectFewVariables(pid)
      },
      [],
      { environment: SECRET },
    ))

  test("in the background", async () => {
    const folder = temporaryFolder("walled")
    const pidFile = join(folder, "pid")
    const { status } = await runPasst(topology.host, ["-q", "-s", join(folder, "socket"), "-P", pidFile])
    expect(status).toBe(0)
    const pid = Number(readFileSync(pidFile, "utf8"))
    try {
      expectWalled(pid)
      expect(childrenOf(pid)).toEqual([])
    } finally {
      process.kill(pid, "SIGTERM")
      await eventually("it has ended", () => (existsSync(`/proc/${pid}`) ? undefined : true))
    }
  })

  test("other processes of the user can't open its memory", () =>
    during(async (pid) => {
      const attempt = ["/usr/bin/python3", "-c", `open("/proc/${pid}/mem", "r+b")`]
      const { status, stderr } = await topology.host.run(["runuser", "-u", "nobody", "--", ...attempt])
      expect([status, stderr]).toEqual([1, expect.stringContaining("Permission denied")])
    }))

  test("it says what holds with --debug", () =>
    during(
      async (_pid, { program }) => {
        const [line] = await program.printed(/Sandbox: .*\n/, "stderr")
        expectParts(line, [])
      },
      ["--debug"],
    ))

  test("with the privilege for low ports, which works, that one is kept", () =>
    during(
      async (pid, { program }) => {
        expect(new Set(ofThreads(pid, "CapEff"))).toEqual(new Set(["0000000000000400"]))
        await program.printed(/TCP \[\*\]:81 {2}=> {2}81/, "stderr")
      },
      ["-t", "81"],
      {
        as: "root",
        before: [
          "setpriv",
          "--reuid=65534",
          "--regid=65534",
          "--clear-groups",
          "--inh-caps=-all,+net_bind_service",
          "--ambient-caps=-all,+net_bind_service",
          "--",
        ],
      },
    ))

  test("as user 0 of a user namespace, it becomes whom --runas names", async () => {
    const holder = await Holder.ofManyUsers()
    try {
      await during(
        (pid) => {
          expect(new Set(ofThreads(pid, "Uid"))).toEqual(new Set(["100000 100000 100000 100000"]))
          expect(new Set(ofThreads(pid, "CapEff"))).toEqual(new Set([NO_CAPABILITIES]))
        },
        ["--runas", "1:1"],
        { as: "root", before: holder.asUser0 },
      )
    } finally {
      await holder.stop()
    }
  })

  test("started by root, nobody of ours is root any more, and none has privileges", () =>
    during(
      async (pid, { program }) => {
        await program.printed(/addr\.path=.*\n/, "stderr")
        expect(childrenOf(pid)).toEqual([])
        expect(new Set(ofThreads(pid, "Uid"))).toEqual(new Set(["65534 65534 65534 65534"]))
        expect(new Set(ofThreads(pid, "CapEff"))).toEqual(new Set([NO_CAPABILITIES]))
        expect(readdirSync(`/proc/${pid}/root/`)).toEqual([])
      },
      [],
      { as: "root" },
    ))

  test("without namespaces, it works all the same, and says so", () =>
    during(
      async (pid, { program }) => {
        expect(new Set(ofThreads(pid, "Seccomp"))).toEqual(new Set(["2"]))
        const [line] = await program.printed(/Sandbox: .*\n/, "stderr")
        expectParts(line, ["namespaces of its own", "an empty root", "no capabilities"])
      },
      ["--debug"],
      {
        as: "root",
        before: [
          "unshare",
          "-Ur",
          "sh",
          "-euc",
          'echo 0 | tee /proc/sys/user/max_user_namespaces > /proc/sys/user/max_mnt_namespaces; exec "$@"',
          "sh",
        ],
      },
    ))
})

describe("however passt is started, it is one process, the one that was started", () => {
  const passt = reachable(passtExecutable)

  /** Checks everything about it, and its end. */
  async function expectOneProcess(settings: PasstProcessOptions, expectIt: (pid: number) => void = expectWalled) {
    const running = await Passt.start(topology, [], settings)
    try {
      expect(running.pid).toBe(running.program.pid)
      expect(childrenOf(running.pid)).toEqual([])
      expectIt(running.pid)
    } finally {
      expect(await running.stop()).toMatchObject({ status: 0 })
    }
  }

  /** A folder with what `put` makes there, for PATH. */
  function inPath(put: (folder: string) => void): PasstProcessOptions {
    const folder = temporaryFolder("path")
    put(folder)
    return { environment: { PATH: `${folder}:${process.env.PATH}` } }
  }

  test("by its name in PATH, which may be a link to a link", () =>
    expectOneProcess({
      ...inPath((folder) => {
        symlinkSync(passt, join(folder, "other"))
        symlinkSync("other", join(folder, "qemu-network"))
      }),
      executable: ["env", "qemu-network"],
    }))

  test("by a runtime", () => expectOneProcess({ executable: [reachable(process.execPath), passt] }))

  test("by a script that is called node, and finds the real one", () =>
    expectOneProcess(
      inPath((folder) =>
        writeFileSync(join(folder, "node"), `#!/bin/sh\nexec ${reachable(process.execPath)} "$@"\n`, { mode: 0o755 }),
      ),
    ))

  test.each([
    ["is missing", (become: string) => rmSync(become)],
    ["can't be executed", (become: string) => chmodSync(become, 0o644)],
    ["has no list", (become: string) => rmSync(`${become}.steps`)],
    ["has a list that is damaged", (become: string) => truncateSync(`${become}.steps`, 100)],
  ])("without namespaces where the native program %s", async (_what, spoil) => {
    const copy = temporaryFolder("copy")
    for (const part of ["bin", "dist", "package.json"]) {
      cpSync(join(repository, "apps/passt", part), join(copy, part), { recursive: true })
    }
    symlinkSync(reachable(join(repository, "node_modules")), join(copy, "node_modules"))
    spoil(join(copy, "dist/become"))
    await expectOneProcess({ executable: [join(copy, "bin/passt")] }, expectFiltered)
  })

  test("what it prints ends when it does", async () => {
    const { status, stdout } = await topology.host.run([passt, "--version"], { ordinary: true })
    expect([status, stdout]).toEqual([0, expect.stringMatching(/^passt \S+ \(demiflow\)\n$/)])
  })
})

describe("what pasta gives up by the time that it is ready", () => {
  test.each(["ordinary", "root"] as const)("beside a command, which keeps what it has, started by %s", async (as) => {
    const pasta = await Pasta.start(topology, { as, environment: SECRET })
    expectFiltered(pasta.dataPath)
    expectFewVariables(pasta.dataPath)
    const ofCommand = await pasta.guest.must(["grep", "-E", "^(Seccomp|NoNewPrivs):", "/proc/self/status"])
    expect(ofCommand).toBe("NoNewPrivs:\t0\nSeccomp:\t0\n")
    expect(readFileSync(`/proc/${pasta.guest.pid}/environ`, "utf8")).toContain("TOKEN=of the caller's\0")
    await pasta.stop()
  })
})
