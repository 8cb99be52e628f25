import { describe, expect, test } from "vitest"
import { testHypervisors } from "./cases/hypervisors.ts"
import { expectTraffic } from "./cases/traffic.ts"
import { throughHost } from "./harness/from-host.ts"
import { Hypervisor } from "./harness/hypervisor.ts"
import { residentMemory } from "./harness/inspection.ts"
import { testWith } from "./harness/machine.ts"
import { runPasst } from "./harness/passt.ts"
import type { Place } from "./harness/places.ts"
import { eventually, type Program } from "./harness/processes.ts"
import { lastLine, startTcpClient, TCP_PORT, useServer, useServerIn } from "./harness/servers.ts"
import { Connection, usePasst } from "./harness/stand-in.ts"
import { ipv4, useTopology } from "./harness/topology.ts"

const vhostUser: readonly string[] = []
const topology = useTopology()
useServer("tcp-server", topology)
useServer("udp-server", topology)

/** A download that is under way. */
async function startDownload(guest: Place): Promise<Program> {
  const request = { scenario: "many", connections: 5, bytes: 200_000_000, seed: 5, pause: true }
  const client = startTcpClient(guest, ipv4, request, { keepInputOpen: true })
  await client.printed(/connected/)
  client.write("now\n")
  return client
}

/** Messages that need no answer. */
const setOwner = Buffer.from(new Uint32Array([3, 1, 0]).buffer)
testHypervisors(topology, {
  guest: { vhostUser },
  mode: ["--vhost-user"],
  flood: Buffer.concat(Array.from({ length: 1000 }, () => setOwner)),
})

describe("front ends", () => {
  test("are welcome one after the other, also with other features", async () => {
    const connection = await Connection.start(topology, { vhostUser })
    for (const words of [[], ["no=mrg,event"], ["regions=4", "high"], []]) {
      await expectTraffic(connection.guest)
      await connection.standIn.stop()
      await connection.reconnect({ vhostUser: words })
    }
    await expectTraffic(connection.guest)
    expect((await connection.stop()).status).toBe(0)
  })

  test("that are killed while data flows make room for the next one", async () => {
    const connection = await Connection.start(topology, { vhostUser })
    for (let time = 0; time < 3; time++) {
      const client = await startDownload(connection.guest)
      connection.standIn.program.kill()
      await connection.standIn.program.result
      client.kill()
      await client.result
      await connection.reconnect()
      await expectTraffic(connection.guest)
    }
    expect((await connection.stop()).status).toBe(0)
  })

  test("that send nothing of the protocol are disconnected with one line, and the next one is welcome", async () => {
    const connection = await Connection.start(topology, { vhostUser })
    await connection.standIn.stop()
    const seen = connection.passt.program.stderr.length
    const hypervisor = await Hypervisor.connect(connection.passt.socket)
    await hypervisor.send(Buffer.alloc(100, 0xff))
    await hypervisor.closed
    await connection.reconnect()
    await expectTraffic(connection.guest)
    expect(connection.passt.program.stderr.slice(seen)).toMatch(/vhost-user/i)
    expect((await connection.stop()).status).toBe(0)
  })
})

describe("memory that is taken away", () => {
  test("while data flows ends the connection with one line, and the next front end is welcome", async () => {
    const connection = await Connection.start(topology, { vhostUser })
    for (const words of [[], ["regions=4", "high"], ["no=mrg,indirect"]]) {
      await connection.standIn.stop()
      await connection.reconnect({ vhostUser: words })
      const seen = connection.passt.program.stderr.length
      const client = await startDownload(connection.guest)
      connection.standIn.program.signal("SIGUSR1")
      expect(await connection.standIn.unplugged()).toMatchObject({ closed: true })
      client.kill()
      await client.result
      await eventually("the line", () => /taken away/.test(connection.passt.program.stderr.slice(seen)) || undefined)
      await connection.reconnect()
      await expectTraffic(connection.guest)
    }
    expect((await connection.stop()).status).toBe(0)
  })
})

describe("a guest that stands still", () => {
  const running = usePasst(topology, { options: ["-t", String(TCP_PORT)], vhostUser })
  useServerIn("tcp-server", () => running.guest)

  const ways = [
    ["as its front end does not answer", "SIGSTOP", "SIGCONT"],
    ["as it is paused", "SIGUSR2", "SIGUSR2"],
  ] as const
  for (const [why, pausing, continuing] of ways) {
    testWith("ss")(`${why}, stops who sends to it, and loses nothing`, async () => {
      await expectTraffic(running.guest)
      const before = residentMemory(running.dataPath)
      const { program } = running.connection.standIn
      const request = { scenario: "many", connections: 20, bytes: 1_000_000, seed: 9, pause: true }
      const clients = throughHost.map((family) =>
        startTcpClient(topology.world, family, request, { keepInputOpen: true }),
      )
      await Promise.all(clients.map((client) => client.printed(/connected/)))
      // The host's kernel has connected the clients before the guest has: nothing but SYNs would wait for the guest.
      await eventually("the guest has all connections", async () => {
        const { stdout } = await running.guest.run(["ss", "-Htn", "state", "established"])
        return stdout.split("\n").length - 1 >= 20 * clients.length ? true : undefined
      })
      program.signal(pausing)
      for (const client of clients) client.write("now\n")
      await eventually("data waits at passt's sockets", async () => {
        const { stdout } = await topology.host.run(["ss", "-Htn", "state", "established"])
        const waiting = stdout.split("\n").map((line) => Number(line.trim().split(/\s+/)[0]))
        return Math.max(0, ...waiting) > 50_000 ? true : undefined
      })
      expect(residentMemory(running.dataPath)).toBeLessThan(before + 64 * 1024)
      program.signal(continuing)
      for (const client of clients) {
        expect(lastLine((await client.result).stdout)).toEqual({ connected: 20, intact: 20 })
      }
    })
  }

  test("makes room once its front end is killed", async () => {
    const { connection } = running
    const client = await startDownload(running.guest)
    connection.standIn.program.signal("SIGSTOP")
    connection.standIn.program.kill()
    await connection.standIn.program.result
    client.kill()
    await client.result
    await connection.reconnect()
    await expectTraffic(running.guest)
  })
})

test("--print-capabilities prints JSON for those who choose a back end", async () => {
  const { status, stdout } = await runPasst(topology.host, ["--vhost-user", "--print-capabilities"])
  expect(status).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ type: "net" })
})
