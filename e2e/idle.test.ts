/** Without traffic nothing runs: no thread of the data path is woken up. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { describe, expect, test } from "vitest"
import { expectTraffic } from "./cases/traffic.ts"
import { reachable, testWith } from "./harness/machine.ts"
import { usePasta } from "./harness/pasta.ts"
import type { Place } from "./harness/places.ts"
import { eventually } from "./harness/processes.ts"
import { UDP_PORT, useServer } from "./harness/servers.ts"
import { usePasst } from "./harness/stand-in.ts"
import { ipv4, useTopology } from "./harness/topology.ts"

/** Longer than the period of any timer that might run without work; milliseconds. */
const WHILE = 2500

/**
 * Time that the process's threads have run so far, nanoseconds (proc(5), schedstat), which counts even the shortest
 * wake-up.
 */
function runTime(pid: number): number {
  const times = readdirSync(`/proc/${pid}/task`).map((thread) =>
    Number.parseInt(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8"), 10),
  )
  return times.reduce((sum, time) => sum + time, 0)
}

/** Resolves after a while without a wake-up. */
async function quiet(dataPath: number): Promise<void> {
  await eventually("a while without a wake-up", async () => {
    const before = runTime(dataPath)
    await pause(WHILE)
    return runTime(dataPath) === before ? true : undefined
  })
}

function testIdle(running: { readonly guest: Place; readonly dataPath: number }): void {
  test("nothing is woken up once there is no more traffic", async () => {
    await expectTraffic(running.guest)
    await quiet(running.dataPath)
  })
}

describe("pasta without ports to keep open", () => {
  const topology = useTopology()
  useServer("tcp-server", topology)
  useServer("udp-server", topology)
  testIdle(usePasta(topology, { options: ["--config-net", "-t", "none", "-u", "none", "-T", "none", "-U", "none"] }))
})

describe("passt", () => {
  const topology = useTopology()
  useServer("tcp-server", topology)
  useServer("udp-server", topology)
  testIdle(usePasst(topology))

  describe("by vhost-user", () => {
    const running = usePasst(topology, { vhostUser: [], options: ["-u", String(UDP_PORT)] })
    testIdle(running)

    testWith("python3", "ss")("nor while datagrams wait for a guest that is paused, and none is lost", async () => {
      const words = ["/usr/bin/python3", reachable(join(import.meta.dirname, "programs/datagram-burst.py"))]
      const { host } = ipv4
      const receiver = running.guest.start([...words, "receive", host, String(UDP_PORT), "100", "alone"])
      await receiver.printed(/^ready$/m)
      const send = ["send", host, String(UDP_PORT), "100", "400", "1"]
      const sender = topology.world.start([...words, ...send], { keepInputOpen: true })
      await receiver.printed(/^begun$/m)
      const standIn = running.connection.standIn.program
      standIn.signal("SIGUSR2")
      await standIn.printed(/^paused$/m)
      // Its patience with a silent sender.
      receiver.signal("SIGSTOP")
      sender.write("\n")
      await sender.printed(/^sent$/m)
      await eventually("datagrams wait at passt's sockets", async () => {
        const { stdout } = await topology.host.run(["ss", "-Huna", `sport = :${UDP_PORT}`])
        return stdout.split("\n").some((line) => Number(line.trim().split(/\s+/)[1]) > 20_000) ? true : undefined
      })
      await quiet(running.dataPath)
      standIn.signal("SIGUSR2")
      await standIn.printed(/^continued$/m)
      receiver.signal("SIGCONT")
      expect(JSON.parse((await receiver.result).stdout.trim().split("\n").at(-1) ?? "")).toMatchObject({ good: 100 })
    })
  })
})
