/** Connects each kind of namespace, as root, as an ordinary user, and as user 0 of another user namespace. */
import { readFileSync, readlinkSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { inBackground, runAndFindRest } from "./harness/background.ts"
import { Holder } from "./harness/holders.ts"
import type { Identity } from "./harness/identity.ts"
import { isRunning, statusOf } from "./harness/inspection.ts"
import { ordinaryUser, temporaryFolder } from "./harness/machine.ts"
import { Pasta, type PastaProcessOptions, runPasta, startPastaProcess } from "./harness/pasta.ts"
import { Namespace } from "./harness/places.ts"
import { eventually, mustRun, run } from "./harness/processes.ts"
import { families, ipv4, useTopology } from "./harness/topology.ts"

const topology = useTopology()

/** A process that is ended after the tests of the `describe` block that calls this. */
function useHolder(start: () => Promise<Holder>): { readonly current: Holder } {
  let holder: Holder | undefined
  beforeAll(async () => {
    holder = await start()
  })
  afterAll(() => holder?.stop())
  return {
    get current() {
      if (holder === undefined) throw new Error("the holder runs only while tests do")
      return holder
    },
  }
}

/** Checks that the loopback interface of a network namespace is up, and that the world can be reached from there. */
async function expectConnected(path: string): Promise<void> {
  const enter = ["nsenter", `--net=${path}`]
  expect(await mustRun([...enter, "ip", "-br", "link", "show", "lo"])).toMatch(/LOOPBACK,UP/)
  for (const { server } of families) await mustRun([...enter, "ping", "-c", "1", "-W", "10", server])
}

/** Connects a namespace with these arguments, checks the connection, and passes pasta's process number to `body`. */
function connect(
  path: string,
  argv: readonly string[],
  options: PastaProcessOptions & { readonly as?: Identity } = {},
  body: (pid: number) => void = () => {},
): Promise<void> {
  return inBackground(
    topology.host,
    ["--config-net", ...argv],
    async ({ pid }) => {
      await expectConnected(path)
      body(pid)
    },
    options,
  )
}

function expectUser(pid: number, id: number): void {
  const ids = Array(4).fill(id).join(" ")
  expect([statusOf(pid, "Uid"), statusOf(pid, "Gid")]).toEqual([ids, ids])
}

describe("as root", () => {
  const named = new Namespace(`df-${process.pid}-0-named`)
  beforeAll(() => named.create())
  afterAll(() => named.remove())
  const holder = useHolder(() => Holder.start(["unshare", "--net"]))
  const ofUser = useHolder(() => Holder.start(["unshare", "--user", "--map-root-user", "--net"], "ordinary"))

  test.each([
    ["a name of ip netns", () => ["--netns", named.name], () => named.path],
    ["a path", () => ["--netns", named.path], () => named.path],
    [
      "a path that /proc has of a process",
      () => ["--netns", holder.current.path("net")],
      () => holder.current.path("net"),
    ],
    ["a process", () => [`${holder.current.pid}`], () => holder.current.path("net")],
    ["a process in a user namespace", () => [`${ofUser.current.pid}`], () => ofUser.current.path("net")],
    ["a process, with --netns-only", () => ["--netns-only", `${ofUser.current.pid}`], () => ofUser.current.path("net")],
    [
      "a path and a user namespace",
      () => ["--userns", ofUser.current.path("user"), "--netns", ofUser.current.path("net")],
      () => ofUser.current.path("net"),
    ],
  ])("%s: connected, by nobody without privileges", async (_which, argv, path) => {
    await connect(path(), argv(), { as: "root" }, (pid) => {
      expectUser(pid, 65534)
      expect(statusOf(pid, "CapEff")).toBe("0000000000000000")
    })
  })

  test("--runas names somebody else", async () => {
    await connect(named.path, ["--runas", "1234:1235", "--netns", named.name], { as: "root" }, (pid) =>
      expect([statusOf(pid, "Uid"), statusOf(pid, "Gid")]).toEqual(["1234 1234 1234 1234", "1235 1235 1235 1235"]),
    )
  })
})

describe("as an ordinary user", () => {
  const ofRoot = useHolder(() => Holder.start(["unshare", "--net"]))

  describe.each([
    ["user 0 of it", ["--map-root-user"]],
    ["who they are outside", ["--map-current-user"]],
    ["nobody that is mapped", []],
  ])("in a user namespace of their own, as %s", (_who, mapping) => {
    const holder = useHolder(() => Holder.start(["unshare", "--user", ...mapping, "--net"], "ordinary"))

    test.each([
      ["a process", () => [`${holder.current.pid}`]],
      [
        "a path, with the user namespace",
        () => ["--userns", holder.current.path("user"), "--netns", holder.current.path("net")],
      ],
      ["a process, with --netns-only", () => ["--netns-only", `${holder.current.pid}`]],
      ["a process, with the user namespace", () => ["--userns", holder.current.path("user"), `${holder.current.pid}`]],
    ])("%s: connected", async (_which, argv) => {
      await connect(holder.current.path("net"), argv(), {}, (pid) => {
        expectUser(pid, ordinaryUser.uid)
        expect(readlinkSync(`/proc/${pid}/ns/user`)).not.toBe(readlinkSync(holder.current.path("user")))
        expect(statusOf(pid, "CapEff")).toBe("0000000000000000")
      })
    })
  })

  test.each([
    ["of root's", () => ["--netns", `/run/netns/${topology.world.name}`], /Can't enter .*EPERM.*--userns/],
    ["of a process of root's", () => [`${ofRoot.current.pid}`], /Can't open the user namespace .*EACCES/],
    [
      "in a user namespace of root's",
      () => ["--userns", "/proc/1/ns/user", "--netns", "x"],
      /Can't open the user .*EACCES/,
    ],
  ])("a namespace %s: one line that says what it takes", async (_whose, argv, about) => {
    const { status, stderr, left } = await runAndFindRest(topology.host, argv())
    expect({ status, left }).toEqual({ status: 1, left: [] })
    expect(stderr).toMatch(/^[^\n]+\n$/)
    expect(stderr).toMatch(about)
  })
})

describe.each([
  ["one user", () => Holder.start(["unshare", "--user", "--map-root-user"], "ordinary")],
  ["thousands of users, nobody among them", () => Holder.ofManyUsers()],
])("as user 0 of somebody's user namespace with %s", (_which, start) => {
  const outer = useHolder(start)
  const inner = useHolder(() => Holder.start([...outer.current.asUser0, "unshare", "--net"]))
  const inside = () => ({ as: "root", before: outer.current.asUser0 }) as const

  test.each([
    ["a path", () => ["--netns", inner.current.path("net")]],
    ["a process", () => [`${inner.current.pid}`]],
    [
      "a path, with our own user namespace",
      () => ["--userns", outer.current.path("user"), "--netns", inner.current.path("net")],
    ],
  ])("%s: connected, and we stay who we are", async (_kind, argv) => {
    await connect(inner.current.path("net"), argv(), inside(), (pid) => expectUser(pid, ordinaryUser.uid))
  })

  test.each([
    ["in namespaces of its own", []],
    ["with --netns-only", ["--netns-only"]],
  ])("a command %s: connected, and user 0 is who we are", async (_kind, options) => {
    const script = `id -u; ping -c 1 -W 10 ${families[0]?.server} >&2 && echo connected; cat /proc/$$/uid_map`
    const argv = ["--config-net", ...options, "--", "sh", "-c", script]
    const { status, stdout } = await runPasta(topology.host, argv, "root", inside())
    expect({ status, stdout }).toMatchObject({ status: 0, stdout: expect.stringMatching(/^0\nconnected\n/) })
  })
})

describe("a command with --runas", () => {
  const argv = [
    "--config-net",
    "--runas",
    "1234:1235",
    "--",
    "sh",
    "-c",
    "id -u; cat /proc/self/uid_map /proc/self/gid_map",
  ]

  test("as root: its user 0 is that user", async () => {
    const { status, stdout } = await runPasta(topology.host, argv, "root")
    expect({ status, words: stdout.trim().split(/\s+/) }).toEqual({
      status: 0,
      words: ["0", "0", "1234", "1", "0", "1235", "1"],
    })
  })

  test("as an ordinary user: one line that says who may", async () => {
    const { status, stderr, left } = await runAndFindRest(topology.host, argv)
    expect({ status, left }).toEqual({ status: 1, left: [] })
    expect(stderr).toMatch(/^[^\n]*another user[^\n]*EPERM[^\n]*\n$/)
  })
})

describe("a command in a user namespace that exists", () => {
  const holder = useHolder(() => Holder.start(["unshare", "--user", "--map-root-user"], "ordinary"))

  test.each(["ordinary", "root"] as const)("as %s user: it is user 0 of that, in a network of its own", async (as) => {
    const script = "id -u; readlink /proc/$$/ns/user /proc/$$/ns/net; cat /proc/$$/uid_map; ls -d /proc/[0-9]* | wc -l"
    const argv = ["--config-net", "--userns", holder.current.path("user"), "--", "sh", "-c", script]
    const { status, stdout } = await runPasta(topology.host, argv, as)
    const [user, namespace, network, map, processes] = stdout.trim().split("\n")
    expect({ status, user, namespace }).toEqual({
      status: 0,
      user: "0",
      namespace: readlinkSync(holder.current.path("user")),
    })
    expect(network).not.toBe(readlinkSync(holder.current.path("net")))
    expect(map?.trim().split(/\s+/)).toEqual(["0", `${ordinaryUser.uid}`, "1"])
    expect(Number(processes)).toBeLessThan(6)
  })
})

describe("a command with --netns-only", () => {
  test("as root: nobody in the user namespace of root, in a network and with a /proc of its own", async () => {
    // Other tests mount file systems as well, but none of this type.
    const procMounts = () =>
      readFileSync("/proc/self/mountinfo", "utf8")
        .split("\n")
        .filter((line) => line.includes(" - proc "))
    const before = procMounts()
    const script =
      "id -u; readlink /proc/$$/ns/user; grep CapEff /proc/$$/status; ls -d /proc/[0-9]* | wc -l; ping -c 1 $0 >&2 && echo connected"
    const argv = ["--config-net", "--netns-only", "--", "sh", "-c", script, `${families[0]?.server}`]
    const { status, stdout } = await runPasta(topology.host, argv, "root")
    const [user, namespace, capabilities, processes, connected] = stdout.trim().split("\n")
    expect({ status, user, connected }).toEqual({ status: 0, user: "65534", connected: "connected" })
    expect(namespace).toBe(readlinkSync("/proc/self/ns/user"))
    expect(capabilities).toMatch(/\s0+$/)
    expect(Number(processes)).toBeLessThan(6)
    // Its /proc is visible nowhere else.
    expect(procMounts()).toEqual(before)
  })

  test("as an ordinary user: one line that says what it takes", async () => {
    const { status, stderr, left } = await runAndFindRest(topology.host, ["--netns-only", "--", "true"])
    expect({ status, left }).toEqual({ status: 1, left: [] })
    expect(stderr).toMatch(/^[^\n]*EPERM[^\n]*CAP_SYS_ADMIN[^\n]*\n$/)
  })
})

describe.each(["ordinary", "root"] as const)("a command with --no-pidns, as %s user", (as) => {
  const run = (...command: string[]) => runPasta(topology.host, ["--config-net", "--no-pidns", "--", ...command], as)

  test("it is a process among those outside, and sees them", async () => {
    const { stdout } = await run("sh", "-c", "readlink /proc/$$/ns/pid; ls -d /proc/1 /proc/$$; id -u")
    const [namespace, ...others] = stdout.trim().split("\n")
    expect(namespace).toBe(readlinkSync("/proc/self/ns/pid"))
    expect(others).toEqual(["/proc/1", expect.stringMatching(/^\/proc\/\d+$/), "0"])
  })

  test.each([0, 3, 255])("exit status %i is passed on", async (status) => {
    expect(await run("sh", "-c", `exit ${status}`)).toMatchObject({ status, signal: null })
  })

  test("a command that is not there, or killed, gives what shells give", async () => {
    const missing = await run("no-such-command-anywhere")
    expect(missing).toMatchObject({ status: 127, stderr: expect.stringContaining("no-such-command-anywhere") })
    expect(await run("sh", "-c", "kill -KILL $$")).toMatchObject({ status: 128 + 9 })
  })

  test("SIGTERM goes to the command", async () => {
    const script = "trap 'echo ended; exit 7' TERM; echo waiting; while :; do sleep 0.05; done"
    const argv = ["--config-net", "--no-pidns", "--", "sh", "-c", script]
    const program = startPastaProcess(topology.host, argv, as)
    await program.printed(/waiting/)
    program.signal("SIGTERM")
    expect(await program.result).toMatchObject({ status: 7, stdout: expect.stringContaining("ended") })
  })

  test("what it started isn't ended with it", async () => {
    const { status, stdout } = await run("sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!")
    const pid = Number(stdout)
    try {
      expect(status).toBe(0)
      expect(isRunning(pid)).toBe(true)
    } finally {
      process.kill(pid, "SIGKILL")
    }
    await eventually("it has ended", () => (isRunning(pid) ? undefined : true))
  })

  test("nothing of ours is open in it", async () => {
    const { stdout } = await run("sh", "-c", "ls /proc/$$/fd; :")
    expect(stdout.trim().split("\n")).toEqual(["0", "1", "2"])
  })
})

test("a namespace in which IPv6 is disabled gets IPv4, and that is said", async () => {
  const disable = "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1"
  const holder = await Holder.start(["unshare", "--net", "sh", "-euc", `${disable}; exec "$@"`, "sh"])
  const pasta = startPastaProcess(topology.host, ["--config-net", "-f", "--netns", holder.path("net")], "root")
  await pasta.printed(/IPv6 is disabled in the namespace/, "stderr")
  await eventually("the namespace is connected", async () => {
    const { status } = await run(["nsenter", `--net=${holder.path("net")}`, "ping", "-c1", "-W1", ipv4.server])
    return status === 0 ? true : undefined
  })
  await pasta.stop()
  await holder.stop()
})

/** Starts a reader that waits for the end of a pipe that pasta's caller leaves open. */
async function leftOpen(): Promise<{ readonly before: readonly string[]; readonly ended: () => Promise<void> }> {
  const fifo = join(temporaryFolder("fifo"), "fifo")
  await topology.host.must(["mkfifo", fifo])
  const reader = topology.host.start(["cat", fifo])
  return {
    before: ["sh", "-euc", 'exec 7>"$0"; exec "$@"', fifo],
    // The end comes once the last writer has closed.
    ended: async () => expect((await reader.result).status).toBe(0),
  }
}

describe("what its caller has left open is closed", () => {
  test("by a command's launcher", async () => {
    const { before, ended } = await leftOpen()
    const pasta = await Pasta.start(topology, { before })
    await ended()
    await pasta.stop()
  })

  test.each(["root", "ordinary"] as const)("beside a process, in the foreground, as %s user", async (as) => {
    const { before, ended } = await leftOpen()
    const unshare = as === "root" ? ["unshare", "--net"] : ["unshare", "--user", "--map-root-user", "--net"]
    const holder = await Holder.start(unshare, as)
    const pasta = startPastaProcess(topology.host, ["--config-net", "-f", String(holder.pid)], as, { before })
    await ended()
    expect(isRunning(pasta.pid)).toBe(true)
    await pasta.stop()
    await holder.stop()
  })
})
