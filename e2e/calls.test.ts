/** The lists of system calls are minimal: traffic of all kinds makes every call on them. */
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs"
import { join } from "node:path"
import { INIT_CALLS, launcherCalls, namespaceHelperCalls, passtCalls, pastaCalls } from "@demiflow/program/data-path"
import { expect, test } from "vitest"
import { expectTraffic } from "./cases/traffic.ts"
import { BackgroundPasta } from "./harness/background.ts"
import { Entered } from "./harness/callers.ts"
import { type Call, CallTrace, compareCalls, partsOf } from "./harness/calls.ts"
import { throughHost, throughLoopback } from "./harness/from-host.ts"
import { Holder } from "./harness/holders.ts"
import { helperOf, parentOf, statusOf } from "./harness/inspection.ts"
import { fileFor, temporaryFolder, testWith } from "./harness/machine.ts"
import { Pasta } from "./harness/pasta.ts"
import { pesto } from "./harness/pesto.ts"
import { Namespace, type Place } from "./harness/places.ts"
import { eventually, mustRun } from "./harness/processes.ts"
import { type Protocol, protocols } from "./harness/protocols.ts"
import { startServer, TCP_PORT, tcpClient, UDP_PORT, udpClient, useServer } from "./harness/servers.ts"
import { Connection } from "./harness/stand-in.ts"
import { type Family, families, useTopology } from "./harness/topology.ts"

const topology = useTopology()
useServer("tcp-server", topology)
useServer("udp-server", topology)

/** For threads that a runtime may start late: the C library ends the process where a thread can't start. */
const STARTING_THREADS = "a thread that starts late"
const DEBUGGER = "SIGUSR1 while the runtime starts, which e2e/passt-life has"
/** From Node.js 22 on in some of the runs, and in those of 24 and 26. */
const NEWER_RUNTIMES = "newer versions of Node.js"
/** Called where the C library can't read the clock without the kernel. */
const NO_CLOCK = "machines whose clock only the kernel can read"
const ABORT = "abort(), by which a runtime without memory ends"
const TERMINAL = "a terminal, which e2e/command has"
/** The runtime puts the flags back when it ends, and aborts if it can't. */
const STANDARD_ERROR = "standard error whose flags another process has changed"

/** Entries that not every run of these cases needs, with the reason why they are on a list. */
const NEEDED_ELSEWHERE: Readonly<Record<string, string>> = {
  clock_gettime: NO_CLOCK,
  gettimeofday: NO_CLOCK,
  brk: "memory of the C library, which grows now and then",
  mremap: "memory of the C library, for what is large",
  clock_nanosleep: "V8's threads, which wait for each other now and then",
  sched_yield: "V8's threads, which wait for each other now and then",
  restart_syscall: "processes that are stopped, and go on",
  gettid: ABORT,
  "tgkill 0=itself": ABORT,
  rt_sigaction: ABORT,
  rt_sigreturn: "a data path that a signal ends, as that of passt here",
  "clone 0=65536": STARTING_THREADS,
  "clone3 refused": STARTING_THREADS,
  set_robust_list: STARTING_THREADS,
  rseq: STARTING_THREADS,
  sigaltstack: STARTING_THREADS,
  "prlimit64 refused": STARTING_THREADS,
  epoll_create1: DEBUGGER,
  eventfd2: DEBUGGER,
  pipe2: DEBUGGER,
  "clone refused": "guests that try: a signal would end the process",
  "fork refused": "guests that try: a signal would end the process",
  "vfork refused": "guests that try: a signal would end the process",
  sched_getaffinity: NEWER_RUNTIMES,
  sched_getparam: NEWER_RUNTIMES,
  sched_getscheduler: NEWER_RUNTIMES,
  "openat refused": NEWER_RUNTIMES,
  "prctl 0=1398164801": NEWER_RUNTIMES,
  getpeername: "a hypervisor whose connection is handed down, which e2e/passt-link has",
  "kill 0=itself": "a data path in the foreground that SIGINT or SIGHUP ends, which e2e/passt-life has",
  writev: "the C library musl, which prints by it",
  "fcntl 1=4": STANDARD_ERROR,
  "fcntl 2=0": STANDARD_ERROR,
  "newfstatat 3=4096": "fstat() of newer C libraries",
  "statx 2=4096": "fstat() of newer C libraries",
  ...Object.fromEntries(
    [21505, 21506, -2144578518, 1076646955, 21519, 21520].map((request) => [`ioctl 1=${request}`, TERMINAL]),
  ),
  getpgrp: TERMINAL,
  getpgid: TERMINAL,
  "kill 1=0": TERMINAL,
  inotify_rm_watch: "a folder that goes before the namespace whose path leads through it",
}

/** Replaces the process number in compared entries. */
function withoutNumber(parts: readonly string[], pid: number): readonly string[] {
  return parts.map((part) => part.replace(new RegExp(`=${pid}$`), "=itself"))
}

function expectNeeded(unneeded: readonly string[]): void {
  expect(unneeded.filter((part) => !(part in NEEDED_ELSEWHERE))).toEqual([])
}

/** Calls needed only by a data path that watches a namespace's path. */
const WATCHING = ["inotify_rm_watch"]

const LOG_BYTES = 40_960
/** A line of a log file after the first. */
const LOG_LINE = /^\d+\.\d{4}: /
/** Little-endian, microseconds: libpcap's format. */
const CAPTURE_BEGINS = "d4c3b2a1"

/** All kinds of files that are written behind the wall, with a log so small that it fills soon. */
class Files {
  readonly #log: string
  readonly #capture: string

  constructor() {
    const folder = temporaryFolder("files")
    this.#log = join(folder, "log")
    this.#capture = join(folder, "pcap")
  }

  get options(): readonly string[] {
    return ["--trace", "-l", this.#log, "--log-size", `${LOG_BYTES}`, "-p", this.#capture, "--stats", "1"]
  }

  /** Asserts that the log has dropped its oldest lines and has its newest, and that the capture exists. */
  async expectWritten(): Promise<void> {
    const log = await eventually("statistics are in the log", () => {
      const text = readFileSync(this.#log, "utf8")
      return text.includes("Statistics:") ? text : undefined
    })
    expect(log).toMatch(LOG_LINE)
    expect(log.length).toBeGreaterThan(LOG_BYTES / 4)
    expect(statSync(this.#log).size).toBeLessThanOrEqual(LOG_BYTES)
    expect(statSync(this.#capture).size).toBeGreaterThan(5_000_000)
    expect(readFileSync(this.#capture).subarray(0, 4).toString("hex")).toBe(CAPTURE_BEGINS)
  }
}

async function exercise(guest: Place): Promise<void> {
  await expectTraffic(guest)
  for (const family of families) {
    await tcpClient(guest, family, { scenario: "echo", bytes: 5_000_000, seed: 3 })
    await udpClient(guest, family, { scenario: "many", sockets: 50 })
    // More fragmented datagrams than the pool has random numbers.
    await udpClient(guest, family, { scenario: "answers", sizes: Array.from({ length: 300 }, () => 65_507) })
    await guest.run(["ping", "-n", `-${family.version}`, "-c", "2", "-i", "0.1", family.server])
  }
}

/** Servers in the guest, and clients elsewhere. */
async function exerciseFromHost(guest: Place, from: Place, reached: readonly Family[]): Promise<void> {
  const anywhere = [{ address: "0.0.0.0" }, { address: "::" }]
  const servers = [await startServer("tcp-server", guest, anywhere), await startServer("udp-server", guest, anywhere)]
  for (const family of reached) {
    for (const protocol of protocols) await opened(protocol, from, family.server)
    expect(await tcpClient(from, family, { scenario: "echo", bytes: 1_000_000, seed: 5 })).toMatchObject({
      intact: true,
    })
    expect(await udpClient(from, family, { scenario: "sizes", sizes: [1, 5000] })).toMatchObject({ intact: [1, 5000] })
  }
  for (const server of servers) await server.stop()
}

/** Ports may be forwarded only after a scan. */
async function opened({ name, port, arrival }: Protocol, from: Place, address: string): Promise<void> {
  await eventually(`${name} port ${port} is open`, async () => {
    const answer = await arrival(from, address, port)
    return "error" in answer ? undefined : answer
  })
}

/** A process's descriptor of a folder. */
function descriptorOf(pid: number, folder: string): number {
  const found = readdirSync(`/proc/${pid}/fd`).find((number) => readlinkSync(`/proc/${pid}/fd/${number}`) === folder)
  if (found === undefined) throw new Error(`${folder} is not open`)
  return Number(found)
}

/** How guests are connected. */
const kinds = [
  ["passt", {}],
  ["passt --vhost-user", { vhostUser: [] }],
] as const

for (const [name, kind] of kinds)
  testWith("strace", "ping")(`${name} needs what is on its list`, async () => {
    const isVhostUser = "vhostUser" in kind
    const files = new Files()
    const socket = fileFor("pesto")
    const options = ["-t", `${TCP_PORT}`, "-u", `${UDP_PORT}`, "-c", socket, ...files.options]
    const connection = await Connection.start(topology, { options, ...kind })
    const { guest, passt } = connection
    const rules = passtCalls(passt.pid, [descriptorOf(passt.pid, "/")], { isVhostUser, changesPorts: true })
    const trace = await CallTrace.of(passt.pid)
    await exercise(guest)
    await exerciseFromHost(guest, topology.world, throughHost)
    expect(await pesto(topology.host, ["-A", "-t", `${TCP_PORT + 1}`, socket])).toMatchObject({ status: 0 })
    if (isVhostUser) {
      // Memory that is taken away while it is in use.
      connection.standIn.program.signal("SIGUSR1")
      await connection.standIn.unplugged()
    } else await connection.standIn.stop()
    await connection.reconnect()
    await expectTraffic(guest)
    await files.expectWritten()
    await connection.stop()
    const { unneeded, unlisted } = compareCalls(rules, await trace.calls())
    expect(unlisted).toEqual([])
    expectNeeded(withoutNumber(unneeded, passt.pid))
  })

/** A port that takes a privilege to be bound in the namespace. */
const LOW_PORT = 620

/** A server on the host that the guest reaches at its own loopback, once pasta has seen the port. */
async function exerciseLocal(guest: Place): Promise<void> {
  for (const protocol of protocols) {
    const program = await startServer(protocol.server, topology.host, [{ address: "127.0.0.1", port: LOW_PORT }])
    await opened({ ...protocol, port: LOW_PORT }, guest, "127.0.0.1")
    await program.stop()
  }
}

/**
 * Entries of the helper in a user namespace of a user unknown to the data path: only the helper may bind low ports
 * there.
 */
async function callsInUserNamespace(): Promise<readonly Call[]> {
  const holder = await Holder.start(["unshare", "--user", "--map-root-user", "--net"], "ordinary")
  const pasta = await BackgroundPasta.start(topology.host, ["--config-net", String(holder.pid)])
  const trace = await CallTrace.of(helperOf(pasta.pid))
  await exerciseLocal(new Entered(holder.pid))
  await pasta.stop()
  await holder.stop()
  return trace.calls()
}

testWith("strace", "ping")("pasta needs what is on its list", async () => {
  const files = new Files()
  const ports = ["-t", "auto", "-u", "auto", "-T", "auto", "-U", "auto"]
  const options = ["--config-net", "--host-lo-to-ns-lo", ...ports, ...files.options]
  const pasta = await Pasta.start(topology, { options })
  const { dataPath, guest } = pasta
  const trace = await CallTrace.of(dataPath)
  const ofHelper = await CallTrace.of(helperOf(dataPath))
  await exercise(guest)
  await exerciseFromHost(guest, topology.world, throughHost)
  await exerciseFromHost(guest, topology.host, throughLoopback)
  await exerciseLocal(guest)
  await files.expectWritten()
  await pasta.stop()
  const ofCommand = compareCalls(pastaCalls(dataPath, false), await trace.calls())

  const namespace = new Namespace(`${topology.name}-traced`)
  await namespace.create()
  const background = await BackgroundPasta.start(topology.host, ["--netns", namespace.path], { as: "root" })
  const watching = await CallTrace.of(background.pid)
  const ofHelperBefore = await CallTrace.of(helperOf(background.pid))
  // The helper is inside, and stays to check the path.
  await mustRun(["ip", "netns", "delete", namespace.name])
  await background.ended()
  const ofNamespace = compareCalls(pastaCalls(background.pid, true), await watching.calls())

  expect([...ofCommand.unlisted, ...ofNamespace.unlisted]).toEqual([])
  const others = withoutNumber(ofNamespace.unneeded, background.pid)
  // A call that only one of them may make is not needed by the other.
  const unneeded = [
    ...withoutNumber(ofCommand.unneeded, dataPath).filter((part) => others.includes(part)),
    ...ofNamespace.unneeded.filter((part) => WATCHING.includes(part)),
  ]
  expectNeeded(unneeded)

  const calls = [...(await ofHelper.calls()), ...(await ofHelperBefore.calls()), ...(await callsInUserNamespace())]
  const inNamespace = compareCalls(namespaceHelperCalls(true, true), calls)
  expect(inNamespace.unlisted).toEqual([])
  // The end of a pipe kills the helper, sometimes before it has noticed the end of its socket.
  expectNeeded(inNamespace.unneeded.filter((part) => part !== "exit_group"))
})

/** Calls of the runtime that a launcher doesn't need if it only waits; its memory changes now and then. */
const OF_DATA_PATHS = ["getpid", "mmap 3=32", "mprotect", "munmap", "madvise"]

/** From the time when it has its filter, which it gets while the command already runs. */
async function traceOfWaiting(pid: number): Promise<CallTrace> {
  await eventually("a filter", () => statusOf(pid, "Seccomp") === "2" || undefined)
  return CallTrace.of(pid)
}

testWith("strace")("the processes that wait need what is on their lists", async () => {
  const pasta = await Pasta.start(topology)
  const [launcher, init] = [parentOf(pasta.dataPath), parentOf(pasta.guest.pid)]
  const [ofLauncher, ofInit] = [await traceOfWaiting(launcher), await traceOfWaiting(init)]
  // A signal that both processes pass on to the command, which ends by it.
  process.kill(launcher, "SIGTERM")
  await pasta.program.result
  const waiting = compareCalls(INIT_CALLS, await ofInit.calls())
  expect(waiting).toEqual({ unneeded: [], unlisted: [] })

  const other = await Pasta.start(topology)
  const abandoned = parentOf(other.dataPath)
  const atTheEnd = await traceOfWaiting(abandoned)
  process.kill(other.dataPath, "SIGKILL")
  await other.program.result

  const first = compareCalls(launcherCalls(launcher, init, false), await ofLauncher.calls())
  const second = compareCalls(launcherCalls(abandoned, parentOf(process.pid), false), await atTheEnd.calls())
  expect([...first.unlisted, ...second.unlisted]).toEqual([])
  const unneeded = withoutNumber(first.unneeded, launcher).filter(
    (part) => withoutNumber(second.unneeded, abandoned).includes(part) && !OF_DATA_PATHS.includes(part),
  )
  expectNeeded(unneeded)
})

test("what is needed elsewhere alone is on a list", () => {
  const parts = withoutNumber(
    [
      ...passtCalls(1, [], { isVhostUser: true }),
      ...pastaCalls(1, true),
      ...namespaceHelperCalls(true, true),
      ...launcherCalls(1, 1, false),
    ].flatMap(partsOf),
    1,
  )
  expect(Object.keys(NEEDED_ELSEWHERE).filter((part) => !parts.includes(part))).toEqual([])
})
