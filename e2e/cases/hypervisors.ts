/** Hypervisors that connect to passt one after the other, whatever protocol they speak. */
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { Hypervisor } from "../harness/hypervisor.ts"
import { statusOf } from "../harness/inspection.ts"
import { reachable, testWith } from "../harness/machine.ts"
import { Passt, passtCommand } from "../harness/passt.ts"
import { eventually, Program } from "../harness/processes.ts"
import { lastLine, startTcpClient } from "../harness/servers.ts"
import { Connection, configureGuest, createGuest, type GuestOptions, standInCommand } from "../harness/stand-in.ts"
import { overBoth, type Topology } from "../harness/topology.ts"
import { expectTraffic } from "./traffic.ts"

export interface HypervisorCases {
  /** How they connect. */
  readonly guest: Pick<GuestOptions, "vhostUser">
  /** Options by which passt expects that. */
  readonly mode: readonly string[]
  /** More than passt handles at once. */
  readonly flood: Buffer
}

/** The world's servers run. */
export function testHypervisors(topology: Topology, { guest: kind, mode, flood }: HypervisorCases): void {
  describe("a hypervisor that connects", () => {
    test("is refused while another one is connected", async () => {
      const connection = await Connection.start(topology, kind)
      const second = await Hypervisor.connect(connection.passt.socket)
      await second.closed
      await expectTraffic(connection.guest)
      expect((await connection.standIn.stop()).closed).toBe(false)
      await connection.stop()
    })

    test("is welcome while what one that has hung up sent before is still being handled", async () => {
      const passt = await Passt.start(topology, [...mode, "-d"])
      const first = await Hypervisor.connect(passt.socket)
      await passt.program.printed(/accepted connection/, "stderr")
      process.kill(passt.pid, "SIGSTOP")
      await eventually("it is stopped", () => (statusOf(passt.pid, "State").startsWith("T") ? true : undefined))
      await first.send(flood)
      await first.disconnect()
      const second = await Hypervisor.connect(passt.socket)
      process.kill(passt.pid, "SIGCONT")
      await passt.program.printed(/accepted connection[\s\S]*accepted connection/, "stderr")
      await second.disconnect()
      expect((await passt.stop()).stderr).not.toMatch(/refused/)
    })

    overBoth((family) => {
      test("again, with the same guest, keeps the guest's connections", async () => {
        const connection = await Connection.start(topology, { mac: "02:00:5e:10:00:42", ...kind })
        const request = { scenario: "many", connections: 5, bytes: 200_000, seed: 3, pause: true }
        const client = startTcpClient(connection.guest, family, request, { keepInputOpen: true })
        await client.printed(/connected/)
        await connection.standIn.stop()
        client.write("now\n")
        await connection.reconnect()
        expect(lastLine((await client.result).stdout)).toEqual({ connected: 5, intact: 5 })
        expect((await connection.stop()).stderr).not.toMatch(/Another guest/)
      })
    })

    test.each(["-1", "--one-off"])("is the only one with %s", async (option) => {
      const connection = await Connection.start(topology, { options: [option], ...kind })
      await expectTraffic(connection.guest)
      await connection.standIn.stop()
      expect((await connection.passt.program.result).status).toBe(0)
      await connection.guest.remove()
    })

    testWith("python3")("may be connected already, and handed over by --fd", async () => {
      const guest = await createGuest()
      const passt = passtCommand(topology.host, [...mode, "-f", "--fd", "{fd}"])
      const pair = reachable(join(import.meta.dirname, "../programs/socket-pair.py"))
      const commands = [passt, standInCommand(guest, "fd:{fd}", kind)].map((command) => JSON.stringify(command))
      const program = new Program(["/usr/bin/python3", pair, ...commands])
      await program.printed(/^connected$/m)
      await configureGuest(guest)
      await expectTraffic(guest)
      await guest.remove()
      expect(lastLine<number[]>((await program.result).stdout)[0]).toBe(0)
    })
  })
}
