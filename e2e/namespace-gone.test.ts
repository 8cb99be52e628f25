/** pasta ends when the namespace that it connects is gone from where it was found, or stays with --no-netns-quit. */
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, describe, expect, test } from "vitest"
import { type BackgroundPasta, inBackground } from "./harness/background.ts"
import { Holder } from "./harness/holders.ts"
import { descriptors, processesInNetwork } from "./harness/inspection.ts"
import { temporaryFolder } from "./harness/machine.ts"
import { startPastaProcess } from "./harness/pasta.ts"
import { Namespace } from "./harness/places.ts"
import { eventually, mustRun, run } from "./harness/processes.ts"
import { useTopology } from "./harness/topology.ts"

const topology = useTopology()

let names = 0
async function createNamespace(): Promise<Namespace> {
  const namespace = new Namespace(`df-${process.pid}-0-gone${++names}`)
  await namespace.create()
  return namespace
}

/** A network namespace that is bound to a file in a folder of its own. */
async function bindNamespace(): Promise<{ readonly folder: string; readonly path: string }> {
  const folder = join(temporaryFolder("bound"), "folder")
  const path = join(folder, "box")
  mkdirSync(folder)
  writeFileSync(path, "")
  await mustRun(["unshare", `--net=${path}`, "true"])
  return { folder, path }
}

/** pasta that has to end because of what `end` does. */
function expectEnd(argv: readonly string[], end: (pasta: BackgroundPasta) => unknown): Promise<void> {
  return inBackground(
    topology.host,
    argv,
    async (pasta) => {
      await end(pasta)
      await pasta.ended()
    },
    { as: "root" },
  )
}

describe("a name of ip netns", () => {
  test("is deleted", async () => {
    const namespace = await createNamespace()
    await expectEnd(["--netns", namespace.name], () => mustRun(["ip", "netns", "delete", namespace.name]))
  })

  test("others come and go: it stays", async () => {
    const namespace = await createNamespace()
    await expectEnd(["--config-net", "--netns", namespace.name], async (pasta) => {
      const other = await createNamespace()
      await other.remove()
      // pasta has received those events before it answers this.
      await namespace.must(["ping", "-c", "1", "-W", "10", "198.51.100.7"])
      expect(pasta.isRunning).toBe(true)
      await namespace.remove()
    })
  })
})

describe("a path", () => {
  test("is unmounted, which pasta doesn't keep from being done, and the file stays", async () => {
    const { path } = await bindNamespace()
    await expectEnd(["--netns", path], () => mustRun(["umount", path]))
  })

  test("is unmounted at once, and the file removed", async () => {
    const { path } = await bindNamespace()
    await expectEnd(["--netns", path], async () => {
      await mustRun(["umount", "--lazy", path])
      unlinkSync(path)
    })
  })

  test("is removed by somebody for whom it is a file like others", async () => {
    const { path } = await bindNamespace()
    await expectEnd(["--netns", path], () =>
      mustRun(["unshare", "--mount", "sh", "-euc", 'umount "$0"; rm "$0"', path]),
    )
  })

  test("is removed with its folder", async () => {
    const { folder, path } = await bindNamespace()
    await expectEnd(["--netns", path], async () => {
      await mustRun(["umount", path])
      rmSync(folder, { recursive: true })
    })
  })

  test("is in a folder that only root may read", async () => {
    const { folder, path } = await bindNamespace()
    await mustRun(["chmod", "700", folder])
    await expectEnd(["--netns", path], async () => {
      await mustRun(["umount", path])
      unlinkSync(path)
    })
  })

  test.each([
    ["removed", (link: string) => unlinkSync(link)],
    ["renamed", (link: string) => renameSync(link, `${link}-elsewhere`)],
    ["replaced", (link: string, other: string) => renameSync(other, link)],
    ["removed with its folder", (link: string) => rmSync(join(link, ".."), { recursive: true })],
  ])("is a link that is %s, and the namespace stays", async (_what, change) => {
    const namespace = await createNamespace()
    const folder = join(temporaryFolder("link"), "folder")
    mkdirSync(folder)
    const [link, other] = [join(folder, "link"), join(folder, "other")]
    symlinkSync(namespace.path, link)
    symlinkSync("/dev/null", other)
    try {
      await expectEnd(["--netns", link], () => change(link, other))
    } finally {
      await namespace.remove()
    }
  })
})

describe.each([
  ["a process", (holder: Holder) => [`${holder.pid}`]],
  ["a path of a process", (holder: Holder) => ["--netns", holder.path("net")]],
  ["a path of its first thread", (holder: Holder) => ["--netns", `/proc/${holder.pid}/task/${holder.pid}/ns/net`]],
])("%s", (_which, argv) => {
  test.each([
    ["ends", (holder: Holder) => holder.program.closeInput()],
    ["is ended", (holder: Holder) => holder.program.signal("SIGTERM")],
    ["is killed", (holder: Holder) => holder.program.signal("SIGKILL")],
  ])("%s", async (_how, end) => {
    const holder = await Holder.start(["unshare", "--net"])
    await expectEnd(argv(holder), () => end(holder))
    await holder.program.result
  })
})

test("in the foreground, the status is 0", async () => {
  const namespace = await createNamespace()
  const program = startPastaProcess(topology.host, ["-f", "--netns", namespace.name], "root")
  await program.printed(/Namespace interface:/, "stderr")
  await mustRun(["ip", "netns", "delete", namespace.name])
  const { status, stderr } = await program.result
  expect({ status, problems: stderr.split("\n").filter((line) => /fail|error|can't/i.test(line)) }).toEqual({
    status: 0,
    problems: [],
  })
})

test("nobody looks again and again: what is waited for are descriptors", async () => {
  const namespace = await createNamespace()
  await expectEnd(["--netns", namespace.name], async ({ pid }) => {
    const mounts = expect.stringMatching(/^\/proc\/\d+\/.*mountinfo$/)
    expect(descriptors(pid)).toEqual(expect.arrayContaining(["anon_inode:inotify", mounts]))
    await namespace.remove()
  })
})

describe("the interface is deleted, and the namespace stays", () => {
  const line = /^pasta: The interface eth0 is gone.*$/gm

  test.each(["ordinary", "root"] as const)("with a command, which ends with it (%s user)", async (as) => {
    const script = "readlink /proc/self/ns/net; ip link del eth0; exec sleep 1000"
    const argv = ["--config-net", "-I", "eth0", "--", "sh", "-c", script]
    const { status, stdout, stderr } = await startPastaProcess(topology.host, argv, as).result
    expect({ status, lines: stderr.match(line)?.length }).toEqual({ status: 1, lines: 1 })
    const [, inode = ""] = /\[(\d+)\]/.exec(stdout) ?? []
    await eventually("no process is left", () => (processesInNetwork(inode).length === 0 ? true : undefined))
  })

  test("in the foreground", async () => {
    const namespace = await createNamespace()
    const argv = ["-f", "-I", "eth0", "--netns", namespace.name]
    const program = startPastaProcess(topology.host, argv, "root")
    await program.printed(/Namespace interface:/, "stderr")
    await namespace.must(["ip", "link", "del", "eth0"])
    const { status, stderr } = await program.result
    expect({ status, lines: stderr.match(line)?.length }).toEqual({ status: 1, lines: 1 })
    await namespace.remove()
  })

  test("in the background: the log says so", async () => {
    const namespace = await createNamespace()
    const log = join(temporaryFolder("gone"), "log")
    await expectEnd(["-l", log, "-I", "eth0", "--netns", namespace.name], () =>
      namespace.must(["ip", "link", "del", "eth0"]),
    )
    expect(readFileSync(log, "utf8").match(/error: .*The interface eth0 is gone/g)).toHaveLength(1)
    await namespace.remove()
  })
})

describe("with --no-netns-quit", () => {
  /** pasta that continues after `end`: it still answers at its tap device. */
  function expectMore(argv: readonly string[], holder: Holder, end: () => Promise<unknown>): Promise<void> {
    return inBackground(
      topology.host,
      ["--config-net", "--no-netns-quit", ...argv],
      async (pasta) => {
        await end()
        await mustRun(["nsenter", `--net=${holder.path("net")}`, "ping", "-c", "1", "-W", "10", "198.51.100.7"])
        expect(pasta.isRunning).toBe(true)
      },
      { as: "root" },
    )
  }

  test("the path may go", async () => {
    const namespace = await createNamespace()
    const holder = await Holder.start(["nsenter", `--net=${namespace.path}`])
    await expectMore(["--netns", namespace.name], holder, () => mustRun(["ip", "netns", "delete", namespace.name]))
    await holder.stop()
  })

  test("the process may end", async () => {
    const first = await Holder.start(["unshare", "--net"])
    const second = await Holder.start(["nsenter", `--net=${first.path("net")}`])
    await expectMore([`${first.pid}`], second, () => first.stop())
    await second.stop()
  })
})

afterAll(async () => {
  // Processes of failed tests.
  for (let name = 1; name <= names; name++) await run(["ip", "netns", "delete", `df-${process.pid}-0-gone${name}`])
})
