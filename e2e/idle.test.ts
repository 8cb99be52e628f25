/** Without traffic nothing runs: no thread of the data path is woken up. */
import { readdirSync, readFileSync } from "node:fs"
import { setTimeout as pause } from "node:timers/promises"
import { describe, expect, test } from "vitest"
import { expectTraffic } from "./cases/traffic.ts"
import { usePasta } from "./harness/pasta.ts"
import type { Place } from "./harness/places.ts"
import { eventually } from "./harness/processes.ts"
import { useServer } from "./harness/servers.ts"
import { usePasst } from "./harness/stand-in.ts"
import { useTopology } from "./harness/topology.ts"

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

function testIdle(running: { readonly guest: Place; readonly dataPath: number }): void {
  test("nothing is woken up once there is no more traffic", async () => {
    await expectTraffic(running.guest)
    const quiet = await eventually("a while without a wake-up", async () => {
      const before = runTime(running.dataPath)
      await pause(WHILE)
      return runTime(running.dataPath) === before ? true : undefined
    })
    expect(quiet).toBe(true)
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
    testIdle(usePasst(topology, { vhostUser: [] }))
  })
})
