/** passt's socket: who may connect, frames in pieces, invalid frames, and a guest that does not read. */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { testHypervisors } from "./cases/hypervisors.ts"
import { expectTraffic } from "./cases/traffic.ts"
import { throughHost } from "./harness/from-host.ts"
import { arpRequest, framed, Hypervisor, waitingBytes } from "./harness/hypervisor.ts"
import { residentMemory } from "./harness/inspection.ts"
import { reachable, temporaryFolder, testWith } from "./harness/machine.ts"
import { Passt, passtCommand } from "./harness/passt.ts"
import { eventually, Program } from "./harness/processes.ts"
import { lastLine, startTcpClient, TCP_PORT, useServer, useServerIn } from "./harness/servers.ts"
import { Connection, configureGuest, createGuest, standInCommand, usePasst } from "./harness/stand-in.ts"
import { ipv4, useTopology } from "./harness/topology.ts"

const topology = useTopology()
useServer("tcp-server", topology)
useServer("udp-server", topology)

testHypervisors(topology, {
  guest: {},
  mode: [],
  flood: Buffer.concat(Array.from({ length: 2000 }, () => framed(arpRequest(123)))),
})

describe("who connects", () => {
  test("one after the other is welcome", async () => {
    const connection = await Connection.start(topology)
    for (let time = 0; time < 3; time++) {
      await expectTraffic(connection.guest)
      await connection.standIn.stop()
      await connection.reconnect()
    }
    expect((await connection.stop()).status).toBe(0)
  })

  testWith("ss")("again, with another guest, ends the connections of the one before", async () => {
    const connection = await Connection.start(topology)
    const request = { scenario: "hold", connections: 3, name: "before" }
    const client = startTcpClient(connection.guest, ipv4, request, { keepInputOpen: true })
    await client.printed(/"held"/)
    const established = async () => {
      const { stdout } = await topology.host.run(["ss", "-Htn", "state", "established", "dst", ipv4.server])
      return stdout.split("\n").length - 1
    }
    await connection.standIn.stop()
    expect(await established()).toBe(3)
    await connection.reconnect()
    await connection.passt.program.printed(/^Another guest than before/m, "stderr")
    await eventually("all have ended", async () => ((await established()) === 0 ? true : undefined))
    client.closeInput()
    await connection.stop()
  })

  testWith("python3")("--fd works in the background, and ends with that socket as well", async () => {
    const guest = await createGuest()
    const pidFile = join(temporaryFolder("passt"), "pid")
    const passt = passtCommand(topology.host, ["-P", pidFile, "--fd", "{fd}"])
    const pair = reachable(join(import.meta.dirname, "programs/socket-pair.py"))
    const commands = [passt, standInCommand(guest, "fd:{fd}")].map((command) => JSON.stringify(command))
    const program = new Program(["/usr/bin/python3", pair, ...commands])
    await program.printed(/^connected$/m)
    await configureGuest(guest)
    await expectTraffic(guest)
    const pid = await eventually("the PID file", () =>
      existsSync(pidFile) ? readFileSync(pidFile, "utf8") : undefined,
    )
    await guest.remove()
    expect(lastLine<number[]>((await program.result).stdout)[0]).toBe(0)
    await eventually("it has ended", () => (existsSync(`/proc/${pid.trim()}`) ? undefined : true))
  })
})

describe("what arrives", () => {
  let passt: Passt
  let hypervisor: Hypervisor
  beforeEach(async () => {
    passt = await Passt.start(topology)
    hypervisor = await Hypervisor.connect(passt.socket)
  })
  afterEach(async () => {
    await hypervisor.disconnect()
    await passt.stop()
  })

  test("byte by byte is put together", async () => {
    const answers = [10, 11, 12].map((host) => hypervisor.answered(host))
    const stream = Buffer.concat([10, 11, 12].map((host) => framed(arpRequest(host))))
    for (const byte of stream) {
      await hypervisor.send(Buffer.from([byte]))
      // The next frame must not be sent together with it.
      await new Promise((resolve) => setImmediate(resolve))
    }
    await Promise.all(answers)
  })

  test("many frames at once are all taken, wherever the stream is cut", async () => {
    const hosts = Array.from({ length: 200 }, (_, i) => i + 10)
    const answers = hosts.map((host) => hypervisor.answered(host))
    const stream = Buffer.concat(hosts.map((host) => framed(arpRequest(host))))
    const cut = 46 * 77 + 3
    await hypervisor.send(stream.subarray(0, cut))
    await hypervisor.send(stream.subarray(cut))
    await Promise.all(answers)
  })

  test.each([0, 70_000, 0x7fff_ffff, 0xffff_ffff])(
    "a length of %i closes the connection with one line, and the next one is welcome",
    async (length) => {
      await hypervisor.settle()
      const prefix = Buffer.alloc(4)
      prefix.writeUInt32BE(length)
      await hypervisor.send(Buffer.concat([prefix, Buffer.alloc(1000, 0x5a)]))
      await hypervisor.closed
      const line = new RegExp(`^.* a frame of ${length} bytes.*\n`, "gm")
      const said = await eventually("the line", () => passt.program.stderr.match(line) ?? undefined)
      expect(said).toHaveLength(1)
      hypervisor = await Hypervisor.connect(passt.socket)
      await hypervisor.settle()
    },
  )
})

describe("a guest that does not read", () => {
  const running = usePasst(topology, { options: ["-t", String(TCP_PORT)] })
  useServerIn("tcp-server", () => running.guest)

  testWith("ss")("stops who sends to it, and loses nothing", async () => {
    await expectTraffic(running.guest)
    const before = residentMemory(running.dataPath)
    const { program } = running.connection.standIn
    // More than the socket holds, even if each connection sends no more than fits into the smallest window.
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
    program.signal("SIGSTOP")
    for (const client of clients) client.write("now\n")
    await eventually("the socket is full", async () =>
      (await waitingBytes(running.guest.path, program.pid)) > 100_000 ? true : undefined,
    )
    expect(residentMemory(running.dataPath)).toBeLessThan(before + 64 * 1024)
    program.signal("SIGCONT")
    for (const client of clients) {
      expect(lastLine((await client.result).stdout)).toEqual({ connected: 20, intact: 20 })
    }
  })
})
