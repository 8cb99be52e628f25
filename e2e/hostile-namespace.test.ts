/**
 * A hostile process in the namespace, beside others that continue their work: a connection through the tap device
 * and one along the local path, each way, begun before the attack and ended during it.
 */
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { isRunning } from "./harness/callers.ts"
import { throughLoopback } from "./harness/from-host.ts"
import { descriptors, residentMemory } from "./harness/inspection.ts"
import { reachable, testWith } from "./harness/machine.ts"
import { Pasta } from "./harness/pasta.ts"
import { eventually, type Program } from "./harness/processes.ts"
import { lastLine, startTcpClient, TCP_PORT, tcpClient, useServer, useServerIn } from "./harness/servers.ts"
import { type Family, families, ipv4, ipv6, useTopology } from "./harness/topology.ts"

const topology = useTopology()
const worldServer = useServer("tcp-server", topology)
const hostServer = useServerIn("tcp-server", () => topology.host, [{ address: "127.0.0.1" }, { address: "::1" }])

/** Through the tap device to the world, and along the local path to the host's loopback. */
const places: readonly Family[] = [ipv4, ipv6, ...throughLoopback]
const tap = families.map(({ server }) => ({ address: server, port: TCP_PORT }))
const local = families.map(({ loopback }) => ({ address: loopback, port: TCP_PORT }))

/** In KiB. */
const MEMORY_BOUND = 250 * 1024
const BYTES = 5_000_000

beforeAll(async () => {
  // The host gives up handshakes after 3 seconds, instead of two minutes.
  await topology.host.set({ "net.ipv4.tcp_syn_retries": 1 })
})

/** One pasta, and a hostile process in its namespace. */
class Subject {
  readonly pasta: Pasta
  readonly dataPath: number
  /** Number of open descriptors before anything happened. */
  readonly descriptorsBefore: number
  /** True if there are too few descriptors for the attack. */
  readonly isShort: boolean

  private constructor(pasta: Pasta, isShort: boolean) {
    this.pasta = pasta
    this.dataPath = pasta.dataPath
    this.descriptorsBefore = descriptors(this.dataPath).length
    this.isShort = isShort
  }

  static async start(limit?: number): Promise<Subject> {
    const options = ["--config-net", "-T", String(TCP_PORT), "-t", "none", "-u", "none", "-U", "none"]
    const before = limit === undefined ? [] : ["prlimit", `--nofile=${limit}`, "--"]
    return new Subject(await Pasta.start(topology, { options, before }), limit !== undefined)
  }

  /** Downloads over IPv4 and uploads over IPv6, all slow until the test speeds their servers up. */
  async #beginTransfers(): Promise<readonly Program[]> {
    const transfers = places.map((place) => {
      const scenario = place.version === 4 ? "slow-server" : "slow-upload"
      return startTcpClient(this.pasta.guest, place, { scenario, bytes: BYTES, seed: 1, rate: 10_000 })
    })
    await Promise.all(transfers.map((transfer) => transfer.printed(/"started"/)))
    return transfers
  }

  async #expectNewConnections(): Promise<void> {
    const request = { scenario: "echo", bytes: 100_000, seed: 3 }
    const results = await Promise.all(places.map((place) => tcpClient(this.pasta.guest, place, request)))
    expect(results).toEqual(places.map(() => ({ bytes: 100_000, intact: true })))
  }

  /**
   * Begins the attack, which is at its height when the promise settles, beside transfers that must end intact.
   *
   * @param leavesRoom true if new connections find descriptors meanwhile
   */
  async withstands(attack: (subject: Subject) => Promise<Program>, leavesRoom = !this.isShort): Promise<void> {
    const transfers = await this.#beginTransfers()
    const hostile = await attack(this)
    try {
      for (const server of [worldServer, hostServer]) server.program.write("\n")
      for (const transfer of transfers) {
        const { stdout } = await transfer.result
        expect(lastLine(stdout)).toMatchObject({ bytes: BYTES, intact: true })
      }
      if (leavesRoom) await this.#expectNewConnections()
      expect(isRunning(this.dataPath)).toBe(true)
      expect(residentMemory(this.dataPath)).toBeLessThan(MEMORY_BOUND)
    } finally {
      for (const program of [hostile, ...transfers]) program.kill()
    }
  }

  /** Asserts that nothing is left after the end of the hostile process. */
  async recovers(): Promise<void> {
    const few = this.descriptorsBefore + 40 // Sockets and pipes in the pools.
    await eventually("no more descriptors are open than before", () =>
      descriptors(this.dataPath).length <= few ? true : undefined,
    )
    await this.#expectNewConnections()
  }
}

/** Up to that number of connections. */
const crowd = (request: { readonly connections: number; readonly [name: string]: unknown }) => async (at: Subject) => {
  const program = at.pasta.guest.startNode("crowd.mjs", request, { keepInputOpen: true })
  const [, open] = await program.printed(/"open":(\d+)/)
  if (at.isShort) expect(Number(open)).toBeLessThan(request.connections)
  return program
}

const flood =
  (request: { readonly from: readonly string[]; readonly [name: string]: unknown }) => async (at: Subject) => {
    const file = reachable(join(import.meta.dirname, "programs/syn-flood.py"))
    const argument = JSON.stringify({ interface: "eth0", gateway: "9a:55:9a:55:9a:55", ...request })
    const program = at.pasta.guest.start(["/usr/bin/python3", file, argument], {
      keepInputOpen: true,
    })
    await program.printed(/^sent$/m)
    return program
  }

/** Towards addresses that don't answer. */
const unanswered = ({ host, silent }: Family) => flood({ from: [host], to: silent, ports: [1, 65_535], count: 30_000 })

/**
 * Towards addresses that answer, from addresses of the guest's network that the guest doesn't have: its kernel drops
 * the answers.
 */
const ignored = ({ host, server }: Family) => {
  const from = Array.from({ length: 50 }, (_, index) => host.replace(/2$/, String(100 + index)))
  return flood({ from, to: server, ports: [TCP_PORT, TCP_PORT], count: 3000 })
}

/** From more ports, or under more identifiers, than there are descriptors. */
const exchanges = (isPing: boolean) => async (at: Subject) => {
  const file = reachable(join(import.meta.dirname, "programs/datagram-ports.py"))
  const argument = JSON.stringify({ to: ipv4.server, port: 9, count: 700, isPing })
  const program = at.pasta.guest.start(["/usr/bin/python3", file, argument], { keepInputOpen: true })
  await program.printed(/^sent$/m)
  return program
}

let flooded: Subject
beforeAll(async () => {
  flooded = await Subject.start()
})
afterAll(() => flooded?.pasta.stop())

for (const family of families) {
  testWith("python3")(`a flood of SYNs whose answers it ignores, over ${family.name}`, () =>
    flooded.withstands(ignored(family)),
  )
}

describe.each([
  ["with the descriptors that the machine gives", undefined],
  ["with few descriptors", 500],
])("%s", (_which, limit) => {
  let subject: Subject
  beforeAll(async () => {
    subject = await Subject.start(limit)
  })
  afterAll(() => subject?.pasta.stop())

  const cases = [
    ["as many connections as it gets, through the tap device", crowd({ to: tap, connections: 3000 })],
    ["as many connections as it gets, along the local path", crowd({ to: local, connections: 3000 })],
    [
      "connections that send a byte now and then",
      crowd({ to: [...tap, ...local], connections: 600, first: "{", drip: 300 }),
    ],
    [
      "connections whose end it never answers",
      crowd({ to: [...tap, ...local], connections: 600, first: "end-first\n" }),
    ],
  ] as const

  test.each(cases)("%s", async (_what, attack) => {
    await subject.withstands(attack)
    await subject.recovers()
  })

  for (const family of families) {
    testWith("python3")(`a flood of SYNs to where nobody answers, over ${family.name}`, async () => {
      await subject.withstands(unanswered(family), true)
      await subject.recovers()
    })
  }

  // Last, because flows without connections stay for minutes.
  testWith("python3")("datagrams from every port", () => subject.withstands(exchanges(false), true))
  testWith("python3")("pings under every identifier", () => subject.withstands(exchanges(true), true))
})

// Last, because an unacknowledged SYN of ours is retransmitted for a minute.
testWith("python3")("of a flood of SYNs whose answers it ignored, nothing stays", () => flooded.recovers(), 360_000)
