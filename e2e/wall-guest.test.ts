/** What a guest can do to the processes of pasta that it sees, and the effects. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { expectTraffic } from "./cases/traffic.ts"
import { BackgroundPasta } from "./harness/background.ts"
import { Entered } from "./harness/callers.ts"
import { Holder } from "./harness/holders.ts"
import { childrenOf, helperOf, isRunning } from "./harness/inspection.ts"
import { ordinaryUser, reachable, temporaryFolder } from "./harness/machine.ts"
import { Pasta } from "./harness/pasta.ts"
import { eventually, mustRun, run } from "./harness/processes.ts"
import { tcp } from "./harness/protocols.ts"
import { startServer, useServer } from "./harness/servers.ts"
import { useTopology } from "./harness/topology.ts"

const topology = useTopology()
useServer("tcp-server", topology)
useServer("udp-server", topology)
const attacker = ["/usr/bin/python3", reachable(join(import.meta.dirname, "programs/guest-attacker.py"))]

const SEEN_PORT = 7008
/** Signals that don't end a process. */
const HARMLESS = ["SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH"]
const FLOOD = 20_000
const flood = `
import os, signal, sys
sent = 0
for _ in range(${FLOOD}):
    for process in sys.argv[1:]:
        for name in "${HARMLESS.join(" ")}".split():
            os.kill(int(process), getattr(signal, name))
            sent += 1
print(sent)
`

describe("root of a new user namespace, who sees all processes", () => {
  test.each(["ordinary", "root"] as const)("gets at none of them, started by %s", async (as) => {
    const pasta = await Pasta.start(topology, { as, options: ["--config-net", "--no-pidns"] })
    const processes = [pasta.dataPath, helperOf(pasta.dataPath)].map(String)
    expect(JSON.parse(await pasta.guest.must([...attacker, ...processes]))).toEqual([])
    await pasta.stop()
  })
})

describe("root of a user namespace that exists", () => {
  let holder: Holder
  beforeAll(async () => {
    holder = await Holder.start(["unshare", "--user", "--map-root-user", "--net"], "ordinary")
  })
  afterAll(() => holder.stop())

  const asGuest = () => [
    ...ordinaryUser.prefix,
    ...["nsenter", `--target=${holder.pid}`, "--user", "--net", "--preserve-credentials", "--"],
  ]

  async function connected(options: readonly string[], body: (pasta: BackgroundPasta) => Promise<void>): Promise<void> {
    const pasta = await BackgroundPasta.start(topology.host, ["--config-net", ...options, String(holder.pid)])
    try {
      await body(pasta)
    } finally {
      await pasta.stop()
    }
  }

  test.each([
    ["where everything is forwarded", []],
    ["where the helper isn't needed any more", ["-t", "none", "-u", "none", "-T", "none", "-U", "none"]],
  ])("gets at none of the processes, %s", (_where, options) =>
    connected(options, async ({ pid }) => {
      const helpers = childrenOf(pid).map(String)
      expect(helpers).toHaveLength(options.length === 0 ? 1 : 0)
      expect(JSON.parse(await mustRun([...asGuest(), ...attacker, String(pid), ...helpers]))).toEqual([])
    }),
  )

  test("would get at one of its own by the same attempts", async () => {
    const script = 'sleep 100 & "$@" $!; kill $!'
    const succeeded = JSON.parse(await mustRun([...asGuest(), "sh", "-c", script, "sh", ...attacker]))
    const attempts = ["write memory", "attach", "open a descriptor", "take a descriptor", "list descriptors"]
    expect(succeeded.map(([, attempt]: [number, string]) => attempt)).toEqual(expect.arrayContaining(attempts))
  })

  test("floods the processes with signals, and the helper and its packets serve it all the same", () =>
    connected([], async ({ pid }) => {
      const processes = [pid, helperOf(pid)].map(String)
      const sent = await mustRun([...asGuest(), "/usr/bin/python3", "-c", flood, ...processes])
      // The guest may send all of them: the case checks the effect.
      expect(sent).toBe(`${processes.length * HARMLESS.length * FLOOD}\n`)
      const guest = new Entered(holder.pid)
      await expectTraffic(guest)
      // The helper listens inside.
      const server = await startServer("tcp-server", topology.host, [{ address: "127.0.0.1", port: SEEN_PORT }])
      await eventually("the port is open inside", async () => {
        const arrival = await tcp.arrival(guest, "127.0.0.1", SEEN_PORT)
        return "error" in arrival ? undefined : true
      })
      await server.stop()
    }))

  test.each(["KILL", "STOP"])(
    "ends its own connectivity by a SIG%s to the helper, and the log has a line",
    async (signal) => {
      const log = join(temporaryFolder("helper"), "log")
      let helper = 0
      await connected(["-l", log, "-t", "7007", "-T", "none"], async (pasta) => {
        helper = helperOf(pasta.pid)
        await mustRun([...asGuest(), "kill", `-${signal}`, String(helper)])
        // A connection needs a socket inside.
        await topology.host.run([
          "/usr/bin/python3",
          "-c",
          'import socket; socket.create_connection(("127.0.0.1", 7007), 1)',
        ])
        await pasta.ended()
      })
      expect(readFileSync(log, "utf8").match(/The helper in the network namespace/g)).toHaveLength(1)
      await eventually("the end of the helper", () => !isRunning(helper) || undefined)
      expect((await run([...asGuest(), "ip", "link", "show", "eth0"])).status).not.toBe(0)
    },
  )
})
