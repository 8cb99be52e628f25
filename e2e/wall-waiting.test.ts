/** The privileges and descriptors of the processes that only wait: init of a command, and the launcher. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { BackgroundPasta } from "./harness/background.ts"
import { Holder } from "./harness/holders.ts"
import { childrenOf, descriptors, helperOf, isRunning, parentOf, statusOf } from "./harness/inspection.ts"
import { ordinaryUser } from "./harness/machine.ts"
import { Pasta, type PastaOptions, startPastaProcess } from "./harness/pasta.ts"
import { Namespace } from "./harness/places.ts"
import { eventually, run } from "./harness/processes.ts"
import { useTopology } from "./harness/topology.ts"

const topology = useTopology()

const SETS = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] as const
const NOTHING = "0000000000000000"
const everything = (2n ** (BigInt(readFileSync("/proc/sys/kernel/cap_last_cap", "utf8")) + 1n) - 1n)
  .toString(16)
  .padStart(16, "0")

const setsOf = (pid: number) => SETS.map((set) => statusOf(pid, set))

/** The status of every thread of a process. */
function ofThreads(pid: number, name: string): readonly string[] {
  return [...new Set(readdirSync(`/proc/${pid}/task`).map((thread) => statusOf(Number(thread), name)))]
}

const guarded = (pid: number) => ["NoNewPrivs", "Seccomp"].map((name) => ofThreads(pid, name))

async function during(
  options: PastaOptions,
  body: (pasta: Pasta, init: number) => Promise<void> | void,
): Promise<void> {
  const pasta = await Pasta.start(topology, options)
  try {
    const init = parentOf(pasta.guest.pid)
    // The process gives up privileges while the command already starts.
    await eventually("an init that waits", () => statusOf(init, "Seccomp") === "2" || undefined)
    await body(pasta, init)
  } finally {
    await pasta.stop()
  }
}

describe.each(["ordinary", "root"] as const)("init of a command, started by %s", (as) => {
  test("has no privileges, no environment and nothing open but a pipe, and makes no other calls", () =>
    during({ as }, (_pasta, init) => {
      expect(setsOf(init)).toEqual(SETS.map(() => NOTHING))
      expect(guarded(init)).toEqual([["1"], ["2"]])
      expect(readFileSync(`/proc/${init}/environ`, "latin1")).toMatch(/^\0*$/)
      // The process ends when the other end of this pipe is closed.
      expect(descriptors(init)).toEqual([expect.stringMatching(/^pipe:/)])
    }))

  test("leaves the command everything, and shows it nothing", () =>
    during({ as }, async ({ guest }) => {
      expect(setsOf(guest.pid)).toEqual([NOTHING, everything, everything, everything, NOTHING])
      expect(guarded(guest.pid)).toEqual([["0"], ["0"]])
      const attempts = [": < /proc/1/environ", ": < /proc/1/mem", "ls /proc/1/fd/", "readlink /proc/1/ns/net"]
      for (const attempt of attempts) expect((await guest.run(["sh", "-c", attempt])).status, attempt).not.toBe(0)
      expect((await guest.run(["cat", "/proc/1/status"])).status).toBe(0)
    }))
})

/** Standard descriptors, both ends of a runtime's pipes, and its descriptors for waiting. */
const OF_RUNTIME = /^(\/dev\/null|anon_inode:\[(eventpoll|eventfd|io_uring)\])$/

/** A process's other descriptors: ends of pipes whose other end is elsewhere, and everything else. */
function heldBy(pid: number): readonly string[] {
  const standard = [0, 1, 2].map((number) => readlinkSync(`/proc/${pid}/fd/${number}`))
  const others = descriptors(pid).filter((what) => !standard.includes(what) && !OF_RUNTIME.test(what))
  return others.filter((what) => others.indexOf(what) === others.lastIndexOf(what))
}

/** Asserts the properties of every launcher that waits. */
async function expectGuarded(launcher: number): Promise<void> {
  await eventually("a launcher that waits", () => ofThreads(launcher, "Seccomp").join() === "2" || undefined)
  expect(guarded(launcher)).toEqual([["1"], ["2"]])
  for (const set of ["CapInh", "CapPrm", "CapEff", "CapAmb"])
    expect([set, ofThreads(launcher, set)]).toEqual([set, [NOTHING]])
  // The launcher reads the reports of the data path.
  expect(heldBy(launcher)).toEqual([expect.stringMatching(/^pipe:/)])
  const opening = [...ordinaryUser.prefix, "sh", "-c", `: < /proc/${launcher}/mem`]
  expect((await run(opening)).status).not.toBe(0)
}

describe.each(["ordinary", "root"] as const)("the launcher, started by %s", (as) => {
  const expectUser = (launcher: number, dataPath: number) => {
    for (const name of ["Uid", "Gid", "Groups"]) {
      expect([name, ofThreads(launcher, name)]).toEqual([name, ofThreads(dataPath, name)])
    }
  }

  test("of a command, holds nothing but what it takes to wait, as the user of the data path", () =>
    during({ as }, async ({ dataPath }) => {
      const launcher = parentOf(dataPath)
      await expectGuarded(launcher)
      expectUser(launcher, dataPath)
    }))

  test("of a namespace, in the foreground, holds nothing but that either, and ends with the data path", async () => {
    const holder = await Holder.start(["unshare", "--user", "--map-root-user", "--net"], "ordinary")
    const program = startPastaProcess(topology.host, ["-f", "--config-net", "--debug", String(holder.pid)], as)
    await program.printed(/Sandbox:/, "stderr")
    const [launcher] = [program.pid]
    const [dataPath] = childrenOf(launcher)
    await expectGuarded(launcher)
    expectUser(launcher, dataPath)
    program.signal("SIGTERM")
    expect(await program.result).toMatchObject({ status: 0 })
    await eventually("the end of the data path", () => !isRunning(dataPath) || undefined)
    await holder.stop()
  })
})

test("the launcher of root passes signals on where the command is in a user namespace of somebody else's", async () => {
  const holder = await Holder.ofManyUsers()
  const script = "trap 'exit 9' TERM; echo ready; while :; do read -r line < /proc/self/comm; done"
  const command = ["setpriv", "--reuid=5", "--clear-groups", "--", "sh", "-c", script]
  const options = ["--config-net", "--userns", holder.path("user"), "--", ...command]
  const program = startPastaProcess(topology.host, options, "root")
  await program.printed(/^ready$/m)
  // Not its group, which also contains the command.
  process.kill(program.pid, "SIGTERM")
  expect(await program.result).toMatchObject({ status: 9 })
  await holder.stop()
})

/** A command in another owner's user namespace: neither data path nor launcher run as its user. */
test.each(["data path", "launcher"])("the command ends with a %s that is killed, whichever it is", async (which) => {
  const holder = await Holder.ofManyUsers()
  const pasta = await Pasta.start(topology, { as: "root", options: ["--config-net", "--userns", holder.path("user")] })
  const { dataPath, guest } = pasta
  const init = parentOf(guest.pid)
  process.kill(which === "launcher" ? parentOf(dataPath) : dataPath, "SIGKILL")
  await eventually("the end of all", () => [init, guest.pid, dataPath].every((pid) => !isRunning(pid)) || undefined)
  await pasta.program.result
  await holder.stop()
})

/** The capability to bind ports below 1024. */
const BIND = "0000000000000400"

test.each([
  ["for the local path, keeps the privilege for low ports alone", "ordinary", [], BIND],
  ["for the local path, keeps the privilege for low ports alone", "root", [], BIND],
  ["that only watches a path, has none", "root", ["-t", "none", "-u", "none", "-T", "none", "-U", "none"], NOTHING],
] as const)(
  "the helper in the namespace, %s, and none can be opened, started by %s",
  async (_what, as, options, kept) => {
    const namespace = new Namespace(`${topology.name}-helped`)
    await namespace.create()
    const holder = await Holder.start(["unshare", "--user", "--map-root-user", "--net"], "ordinary")
    const target = as === "root" ? ["--netns", namespace.path] : [String(holder.pid)]
    const pasta = await BackgroundPasta.start(topology.host, ["--config-net", ...options, ...target], { as })
    expect(setsOf(helperOf(pasta.pid))).toEqual([NOTHING, kept, kept, NOTHING, NOTHING])
    await pasta.stop()
    await holder.stop()
    await namespace.remove()
  },
)

test("a helper of root's that is stopped ends with the data path that has become nobody", async () => {
  const namespace = new Namespace(`${topology.name}-stopped`)
  await namespace.create()
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    const pasta = await BackgroundPasta.start(topology.host, ["--netns", namespace.path], { as: "root" })
    const helper = helperOf(pasta.pid)
    expect(statusOf(helper, "Uid")).not.toBe(statusOf(pasta.pid, "Uid"))
    process.kill(helper, "SIGSTOP")
    process.kill(pasta.pid, signal)
    await pasta.ended()
    await eventually("the end of the helper", () => !isRunning(helper) || undefined)
  }
  await namespace.remove()
})

test("the launcher reports the end of a data path to a pipe, too", async () => {
  const before = ["bash", "-c", 'exec "$@" 2> >(cat >&2)', "-"]
  const pasta = await Pasta.start(topology, { before, as: "root" })
  process.kill(pasta.dataPath, "SIGKILL")
  expect((await pasta.program.result).stderr).toContain("pasta: The data path ended unexpectedly (signal 9)")
})
