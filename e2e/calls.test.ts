/** The lists of system calls are as long as they have to be: what stands on them is made, by traffic of all kinds. */
import { readdirSync, readlinkSync } from "node:fs"
import { join } from "node:path"
import { namespaceHelperCalls, passtCalls, pastaCalls } from "@demiflow/program/data-path"
import { expect, test } from "vitest"
import { expectTraffic } from "./cases/traffic.ts"
import { BackgroundPasta } from "./harness/background.ts"
import { Entered } from "./harness/callers.ts"
import { type Call, CallTrace, compareCalls, partsOf } from "./harness/calls.ts"
import { Holder } from "./harness/holders.ts"
import { throughHost, throughLoopback } from "./harness/inbound.ts"
import { helperOf } from "./harness/inspection.ts"
import { temporaryFolder, testWith } from "./harness/machine.ts"
import { Pasta } from "./harness/pasta.ts"
import { Namespace, type Place } from "./harness/places.ts"
import { eventually, mustRun } from "./harness/processes.ts"
import { tcp, udp } from "./harness/protocols.ts"
import { startServer, TCP_PORT, tcpClient, UDP_PORT, udpClient, useServer } from "./harness/servers.ts"
import { Connection } from "./harness/stand-in.ts"
import { type Family, families, useTopology } from "./harness/topology.ts"

const topology = useTopology()
useServer("tcp-server", topology)
useServer("udp-server", topology)

/** For threads that start late, as a runtime may have them: the C library ends it where one can't. */
const STARTING_THREADS = "a thread that starts late"
const DEBUGGER = "SIGUSR1 while the runtime starts, which e2e/passt-life has"
/** From 22 on, in some of the runs, and in those of 24 and 26. */
const NEWER_RUNTIMES = "newer versions of Node.js"
/** The kernel is asked for the time where the C library can't read its clock. */
const NO_CLOCK = "machines whose clock only the kernel can read"
const ABORT = "abort(), by which a runtime without memory ends"
/** The runtime puts it back when it ends, and aborts if it can't. */
const STANDARD_ERROR = "standard error whose flags another process has changed"

/** What not every run of the cases here needs, and why it is on a list all the same. */
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
  inotify_rm_watch: "a folder that goes before the namespace whose path leads through it",
}

/** Part of what is compared, whatever number the process has. */
function withoutNumber(parts: readonly string[], pid: number): readonly string[] {
  return parts.map((part) => part.replace(new RegExp(`=${pid}$`), "=itself"))
}

function expectNeeded(unneeded: readonly string[]): void {
  expect(unneeded.filter((part) => !(part in NEEDED_ELSEWHERE))).toEqual([])
}

/** What only a data path needs that watches whether a namespace is still at its path. */
const WATCHING = ["inotify_rm_watch"]

/** Files of all kinds, small enough for the log to be full soon. */
function files(): readonly string[] {
  const folder = temporaryFolder("files")
  return ["--trace", "-l", join(folder, "log"), "--log-size", "40960", "-p", join(folder, "pcap"), "--stats", "1"]
}

async function exercise(guest: Place): Promise<void> {
  await expectTraffic(guest)
  for (const family of families) {
    await tcpClient(guest, family, { scenario: "echo", bytes: 5_000_000, seed: 3 })
    await udpClient(guest, family, { scenario: "many", sockets: 50 })
    // More fragmented datagrams than there are random numbers at hand.
    await udpClient(guest, family, { scenario: "answers", sizes: Array.from({ length: 300 }, () => 65_507) })
    await guest.run(["ping", "-n", `-${family.version}`, "-c", "2", "-i", "0.1", family.server])
  }
}

/** Servers in the guest, and clients elsewhere. */
async function exerciseInbound(guest: Place, from: Place, reached: readonly Family[]): Promise<void> {
  const anywhere = [{ address: "0.0.0.0" }, { address: "::" }]
  const servers = [await startServer("tcp-server", guest, anywhere), await startServer("udp-server", guest, anywhere)]
  for (const family of reached) {
    expect(await tcpClient(from, family, { scenario: "echo", bytes: 1_000_000, seed: 5 })).toMatchObject({
      intact: true,
    })
    expect(await udpClient(from, family, { scenario: "sizes", sizes: [1, 5000] })).toMatchObject({ intact: [1, 5000] })
  }
  for (const server of servers) await server.stop()
}

/** The descriptor that a process has of a folder. */
function descriptorOf(pid: number, folder: string): number {
  const found = readdirSync(`/proc/${pid}/fd`).find((number) => readlinkSync(`/proc/${pid}/fd/${number}`) === folder)
  if (found === undefined) throw new Error(`${folder} is not open`)
  return Number(found)
}

testWith("strace", "ping")("passt needs what is on its list", async () => {
  const options = ["-t", `${TCP_PORT}`, "-u", `${UDP_PORT}`, ...files()]
  const connection = await Connection.start(topology, { options })
  const { guest, passt } = connection
  const rules = passtCalls(passt.pid, [descriptorOf(passt.pid, "/")])
  const trace = await CallTrace.of(passt.pid)
  await exercise(guest)
  await exerciseInbound(guest, topology.world, throughHost)
  await connection.standIn.stop()
  await connection.reconnect()
  await expectTraffic(guest)
  await connection.stop()
  const { unneeded, unlisted } = compareCalls(rules, await trace.calls())
  expect(unlisted).toEqual([])
  expectNeeded(withoutNumber(unneeded, passt.pid))
})

/** It takes a privilege to be bound in the namespace. */
const LOW_PORT = 620

/** A server on the host that the guest reaches at its own loopback, once pasta has seen the port. */
async function exerciseLocal(guest: Place): Promise<void> {
  for (const { server, arrival, name } of [tcp, udp]) {
    const program = await startServer(server, topology.host, [{ address: "127.0.0.1", port: LOW_PORT }])
    await eventually(`${name} port is open`, async () => {
      const answer = await arrival(guest, "127.0.0.1", LOW_PORT)
      return "error" in answer ? undefined : answer
    })
    await program.stop()
  }
}

/** Of the helper in a user namespace that is nobody's whom the data path knows: it alone may bind low ports there. */
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
  const ports = ["-t", `${TCP_PORT}`, "-u", `${UDP_PORT}`]
  const pasta = await Pasta.start(topology, { options: ["--config-net", "--host-lo-to-ns-lo", ...ports, ...files()] })
  const { dataPath, guest } = pasta
  const trace = await CallTrace.of(dataPath)
  const ofHelper = await CallTrace.of(helperOf(dataPath))
  await exercise(guest)
  await exerciseInbound(guest, topology.world, throughHost)
  await exerciseInbound(guest, topology.host, throughLoopback)
  await exerciseLocal(guest)
  await pasta.stop()
  const ofCommand = compareCalls(pastaCalls(dataPath, false), await trace.calls())

  const namespace = new Namespace(`${topology.name}-traced`)
  await namespace.create()
  const background = await BackgroundPasta.start(topology.host, ["--netns", namespace.path], { as: "root" })
  const watching = await CallTrace.of(background.pid)
  const looking = await CallTrace.of(helperOf(background.pid))
  // The helper is in there, and stays to look at the path.
  await mustRun(["ip", "netns", "delete", namespace.name])
  await background.ended()
  const ofNamespace = compareCalls(pastaCalls(background.pid, true), await watching.calls())

  expect([...ofCommand.unlisted, ...ofNamespace.unlisted]).toEqual([])
  const others = withoutNumber(ofNamespace.unneeded, background.pid)
  // What only one of them may do, the other doesn't need.
  const unneeded = [
    ...withoutNumber(ofCommand.unneeded, dataPath).filter((part) => others.includes(part)),
    ...ofNamespace.unneeded.filter((part) => WATCHING.includes(part)),
  ]
  expectNeeded(unneeded)

  const calls = [...(await ofHelper.calls()), ...(await looking.calls()), ...(await callsInUserNamespace())]
  const inNamespace = compareCalls(namespaceHelperCalls(true), calls)
  expect(inNamespace.unlisted).toEqual([])
  expectNeeded(inNamespace.unneeded)
})

test("what is needed elsewhere alone is on a list", () => {
  const parts = withoutNumber(
    [...passtCalls(1, []), ...pastaCalls(1, true), ...namespaceHelperCalls(true)].flatMap(partsOf),
    1,
  )
  expect(Object.keys(NEEDED_ELSEWHERE).filter((part) => !parts.includes(part))).toEqual([])
})
