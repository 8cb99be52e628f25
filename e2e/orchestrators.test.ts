/**
 * pasta as orchestrators such as Podman use it: when it is ready, what it leaves behind and removes, how it fails and
 * ends.
 */
import { existsSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { BackgroundPasta, inBackground, runAndFindRest } from "./harness/background.ts"
import { beginningOf, callersFiles } from "./harness/callers-files.ts"
import { awaitFile } from "./harness/files.ts"
import { Holder } from "./harness/holders.ts"
import { childrenOf, descriptors, isRunning, markedProcesses, statusOf } from "./harness/inspection.ts"
import { fileFor, temporaryFolder, testWith } from "./harness/machine.ts"
import { runPasta, startPastaProcess } from "./harness/pasta.ts"
import { Namespace } from "./harness/places.ts"
import { eventually } from "./harness/processes.ts"
import { startServer } from "./harness/servers.ts"
import { useTopology } from "./harness/topology.ts"

interface Link {
  readonly ifname: string
  readonly flags: readonly string[]
  readonly addr_info: readonly { readonly local: string; readonly scope: string; readonly tentative?: boolean }[]
}

const topology = useTopology()

let namespace: Namespace
let number = 0
beforeEach(async () => {
  namespace = new Namespace(`df-${process.pid}-0-box${++number}`)
  await namespace.create()
})
afterEach(() => namespace.remove())

const mode = (path: string): number => statSync(path).mode & 0o777
const links = () => namespace.json<readonly Link[]>(["ip", "-j", "addr"])
const names = async () => (await links()).map(({ ifname }) => ifname)
const asRoot = { as: "root" } as const

const podman = [
  ["--config-net", "-t", "none", "--dns-forward", "169.254.1.1", "-u", "none", "-T", "none", "-U", "none"],
  ["--no-map-gw", "--quiet", "--netns"],
].flat()

describe("Podman's call", () => {
  test("is over when everything is there: addresses that can be used, routes, the loopback interface", async () => {
    const argv = [...podman, namespace.path, "--map-guest-addr", "169.254.1.2"]
    await inBackground(
      topology.host,
      argv,
      async ({ result }) => {
        const found = await links()
        expect(result).toMatchObject({ status: 0, stdout: "", stderr: "" })
        expect(found.find(({ ifname }) => ifname === "lo")?.flags).toContain("UP")
        const addresses = found.find(({ ifname }) => ifname === "eth0")?.addr_info ?? []
        expect(addresses.map(({ local }) => local)).toEqual(expect.arrayContaining(["192.0.2.2", "2001:db8:1::2"]))
        expect(addresses.filter(({ tentative }) => tentative === true)).toEqual([])
        for (const family of ["-4", "-6"]) {
          expect(await namespace.must(["ip", family, "route", "show", "default"])).toMatch(/^default via/)
        }
        await namespace.must(["ping", "-c", "1", "-W", "10", "198.51.100.7"])
      },
      asRoot,
    )
  })

  test("by user 0 of a user namespace with many users, as without root", async () => {
    const outer = await Holder.ofManyUsers()
    const inner = await Holder.start([...outer.asUser0, "unshare", "--net"])
    try {
      await inBackground(
        topology.host,
        [...podman, inner.path("net"), "--map-guest-addr", "169.254.1.2"],
        async ({ result }) => expect(result).toMatchObject({ status: 0, stdout: "", stderr: "" }),
        { as: "root", before: outer.asUser0 },
      )
    } finally {
      await inner.stop()
      await outer.stop()
    }
  })
})

describe("in the background", () => {
  const start = (argv: readonly string[], before?: readonly string[]) =>
    BackgroundPasta.start(topology.host, [...argv, "--netns", namespace.name], {
      as: "root",
      ...(before !== undefined && { before }),
    })

  test("nothing of the caller's stays open, whatever number it has", async () => {
    const file = fileFor("open")
    writeFileSync(file, "")
    // By python3, because not every shell supports descriptor numbers of more than one digit.
    const script =
      "import os, sys; f = os.open(sys.argv[1], 0)\n" +
      "for n in (3, 4, 5, 6, 7, 9, 50, 200): os.dup2(f, n)\n" +
      "os.execvp(sys.argv[2], sys.argv[2:])"
    const pasta = await start([], ["python3", "-c", script, file])
    try {
      const open = descriptors(pasta.pid)
      expect(open.filter((name) => name === file || name.startsWith("/dev/pts"))).toEqual([])
      for (const standard of [0, 1, 2]) expect(readlinkSync(`/proc/${pasta.pid}/fd/${standard}`)).toBe("/dev/null")
      // A pipe of its own has both ends here, or one at its helper, which ends with it.
      const ends = [...open, ...childrenOf(pasta.pid).flatMap(descriptors)].filter((name) => name.startsWith("pipe:"))
      expect(ends.filter((pipe) => ends.filter((other) => other === pipe).length < 2)).toEqual([])
    } finally {
      await pasta.stop()
    }
  })

  test("it is in a session of its own, keeps no folder busy, and is called pasta", async () => {
    const pasta = await start([])
    try {
      const fields = readFileSync(`/proc/${pasta.pid}/stat`, "latin1").split(" ")
      expect(fields[5]).toBe(`${pasta.pid}`)
      expect(readlinkSync(`/proc/${pasta.pid}/cwd`)).toBe("/")
      expect(statusOf(pasta.pid, "Name")).toBe("pasta")
    } finally {
      await pasta.stop()
    }
  })

  test("the PID file is for its owner alone, and holds the number of the process that stays", async () => {
    const pasta = await start([])
    try {
      expect([readFileSync(pasta.pidFile, "utf8"), mode(pasta.pidFile)]).toEqual([`${pasta.pid}\n`, 0o600])
      expect(descriptors(pasta.pid)).toContain("/dev/net/tun")
    } finally {
      await pasta.stop()
    }
  })

  test.each(["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP"] as const)(
    "%s ends it, and its interface goes with it",
    async (signal) => {
      const pasta = await start([])
      expect(await names()).toEqual(["lo", "eth0"])
      await pasta.stop(signal)
      await eventually("the interface is gone", async () => ((await names()).includes("eth0") ? undefined : true))
    },
  )

  testWith("ss")("SIGUSR1, by which the runtime opens its debugger, does nothing", async () => {
    const pasta = await start([])
    process.kill(pasta.pid, "SIGUSR1")
    // A debugger would start within milliseconds; a check takes longer.
    for (let attempt = 0; attempt < 10; attempt++) {
      expect((await topology.host.run(["ss", "-Hltn"])).stdout).not.toContain(":9229")
    }
    await pasta.stop()
  })

  test("-l and -p write to files that the caller has open, by their descriptors", async () => {
    const { before, options, begin } = callersFiles()
    const pasta = await start(options, before)
    try {
      expect(begin()).toEqual(beginningOf("pasta"))
      // Each is open once, by its writer.
      expect(descriptors(pasta.pid).filter((name) => name.includes("callers-files")).length).toBe(2)
    } finally {
      await pasta.stop()
    }
  })

  test("-l: the log is in a file for its owner alone, with the tables of --stats", async () => {
    const log = join(temporaryFolder("log"), "pasta.log")
    const pasta = await start(["--config-net", "-l", log, "--stats", "1"])
    try {
      expect([mode(log), readFileSync(log, "utf8")]).toEqual([
        0o600,
        expect.stringMatching(new RegExp(`^pasta started as process ${pasta.pid}, `)),
      ])
      await namespace.must(["ping", "-c", "1", "-W", "10", "198.51.100.7"])
      await eventually("statistics", () =>
        /from guest +\d+ frames/.test(readFileSync(log, "utf8")) ? true : undefined,
      )
    } finally {
      await pasta.stop()
    }
  })
})

describe("in the foreground", () => {
  test("-l and -p write to files that the caller has open, by their descriptors", async () => {
    const { before, options, begin } = callersFiles()
    const program = startPastaProcess(topology.host, ["-f", ...options, "--netns", namespace.name], "root", { before })
    await program.printed(/Namespace interface:/, "stderr")
    expect(begin()).toEqual(beginningOf("pasta"))
    await program.stop()
  })

  test.each([
    ["SIGTERM", 0],
    ["SIGINT", "SIGINT"],
  ] as const)("the first process stays, and %s ends it: %s", async (signal, outcome) => {
    const folder = temporaryFolder("foreground")
    const file = awaitFile(join(folder, "pid"))
    const mark = `foreground-${process.pid}`
    const argv = ["-f", "-q", "-P", join(folder, "pid"), "--netns", namespace.name]
    const program = startPastaProcess(topology.host, argv, "root", { environment: { DEMIFLOW_E2E_MARK: mark } })
    program.result.finally(() => file.forget())
    expect(await file.text).toBe(`${program.pid}\n`)
    expect(await names()).toEqual(["lo", "eth0"])
    program.signal(signal)
    const result = await program.result
    expect(result.signal ?? result.status).toBe(outcome)
    expect(result).toMatchObject({ stdout: "", stderr: "" })
    await eventually("nothing is left", () => (markedProcesses(mark).some(isRunning) ? undefined : true))
  })

  test("if it is killed, the data path ends as well, also as another user", async () => {
    const mark = `killed-${process.pid}`
    const program = startPastaProcess(topology.host, ["-f", "--netns", namespace.name], "root", {
      environment: { DEMIFLOW_E2E_MARK: mark },
    })
    await program.printed(/Namespace interface:/, "stderr")
    program.signal("SIGKILL")
    await program.result
    await eventually("nothing is left", () => (markedProcesses(mark).some(isRunning) ? undefined : true))
  })
})

describe("what it says", () => {
  test("not even what it warns of with --quiet: that this host forbids pings", async () => {
    await topology.host.set({ "net.ipv4.ping_group_range": "1 0" })
    try {
      for (const place of [["--netns", namespace.name], ["--config-net"]]) {
        const command = place.length === 1 ? ["--", "true"] : []
        const said = async (...options: string[]) => {
          const file = fileFor("pid")
          const result = await runPasta(topology.host, [...options, "-P", file, ...place, ...command], "root")
          if (command.length === 0) process.kill(Number(readFileSync(file, "utf8")))
          await eventually("the interface is gone", async () => ((await names()).includes("eth0") ? undefined : true))
          return result
        }
        expect(await said("-q")).toMatchObject({ status: 0, stdout: "", stderr: "" })
        expect((await said()).stderr).toMatch(/ping_group_range/)
      }
    } finally {
      await topology.host.set({ "net.ipv4.ping_group_range": "0 2147483647" })
    }
  })

  test("nothing but problems with --quiet, else what was decided", async () => {
    const said = async (...options: string[]) => {
      const pasta = await BackgroundPasta.start(topology.host, [...options, "--netns", namespace.name], asRoot)
      await pasta.stop()
      return pasta.result
    }
    expect(await said("-q")).toMatchObject({ stdout: "", stderr: "" })
    const { stdout, stderr } = await said()
    expect(stdout).toBe("")
    for (const line of [
      "Namespace interface: eth0",
      "    assign: 192.0.2.2",
      "started as root, changing to user nobody",
    ]) {
      expect(stderr).toContain(line)
    }
  })
})

describe("a failure before it is ready: status 1, one line, and nothing is left", () => {
  test.each<[string, () => readonly string[], RegExp]>([
    ["no such process", () => ["4194305"], /There is no process 4194305/],
    ["no such name", () => ["--netns", "no-such-name"], /network namespace \/run\/netns\/no-such-name: no such file/],
    ["no such path", () => ["--netns", "/no/such/path"], /network namespace \/no\/such\/path: no such file/],
    ["a file that is no namespace", () => ["--netns", "/etc/passwd"], /\/etc\/passwd is no network namespace/],
    ["another namespace", () => ["--netns", "/proc/self/ns/user"], /\/proc\/self\/ns\/user is no network namespace/],
    ["our own", () => ["--netns", topology.host.name], /is the network namespace that pasta itself is in/],
    [
      "no such user namespace",
      () => ["--userns", "/no/such/path", "--netns", namespace.name],
      /user namespace \/no\/such\/path: no such file/,
    ],
    ["no user namespace", () => ["--userns", namespace.path, "--netns", namespace.name], /is no user namespace/],
    ["an interface that is there", () => ["-I", "lo", "--netns", namespace.name], /"lo"/],
    ["a PID file without folder", () => ["-P", "/no/such/pid", "--netns", namespace.name], /\/no\/such\/pid/],
    ["a log without folder", () => ["-l", "/no/such/log", "--netns", namespace.name], /\/no\/such\/log/],
    ["a capture without folder", () => ["-p", "/no/such/pcap", "--netns", namespace.name], /\/no\/such\/pcap/],
    ["a user that isn't there", () => ["--runas", "nemo", "--netns", namespace.name], /nemo/],
    ["an unknown option", () => ["--foo", "--netns", namespace.name], /unrecognized option '--foo'/],
  ])("%s", async (_what, argv, about) => {
    const { status, stdout, stderr, left } = await runAndFindRest(topology.host, ["-q", ...argv()], asRoot)
    expect({ status, stdout, left }).toEqual({ status: 1, stdout: "", left: [] })
    expect(stderr).toMatch(/^[^\n]+\n$/)
    expect(stderr).toMatch(about)
    expect(await names()).toEqual(["lo"])
  })

  test("a port that is in use", async () => {
    const holder = await startServer("tcp-server", topology.host, [{ address: "0.0.0.0", port: 5002 }])
    const argv = ["-q", "--config-net", "-t", "5001-5003", "--netns", namespace.name]
    const { status, stderr, left } = await runAndFindRest(topology.host, argv, asRoot)
    const stderrWanted = "pasta: Listen failed for HOST TCP port */5002: Address already in use\n"
    expect({ status, stderr, left }).toEqual({ status: 1, stderr: stderrWanted, left: [] })
    expect(await names()).toEqual(["lo"])
    await holder.stop()
  })
})

describe("the command line", () => {
  test("options given twice: the last one counts", async () => {
    const folder = temporaryFolder("twice")
    const at = (name: string) => join(folder, name)
    const twice = ["-P", at("pid1"), "-P", at("pid2"), "-l", at("log1"), "-l", at("log2"), "-I", "one0", "-I", "two0"]
    const result = await runPasta(
      topology.host,
      ["--netns", "nothing", ...twice, "-q", "--netns", namespace.name],
      "root",
    )
    expect(result).toMatchObject({ status: 0, stdout: "", stderr: "" })
    const pid = Number(readFileSync(at("pid2"), "utf8"))
    try {
      expect([existsSync(at("pid1")), existsSync(at("log1")), existsSync(at("log2"))]).toEqual([false, false, true])
      expect(await names()).toEqual(["lo", "two0"])
    } finally {
      process.kill(pid)
    }
    await eventually("pasta has ended", () => (isRunning(pid) ? undefined : true))
  })

  test("bundled letters, values with and without a space, abbreviations", async () => {
    await inBackground(
      topology.host,
      ["-4qIgrammar0", "--config-n", `--netns=${namespace.path}`, "--no-netns-q", "--ns-mac-addr", "52:54:00:12:34:56"],
      async ({ result }) => {
        expect(result.stderr).toBe("")
        const found = (await links()).find(({ ifname }) => ifname === "grammar0")
        expect(found?.addr_info.map(({ local }) => local)).toContain("192.0.2.2")
      },
      asRoot,
    )
  })
})
