/** Connections that wait: for the answer to each request, for a reader that has stopped, for anything at all. */
import { expect, test } from "vitest"
import type { Program } from "../harness/processes.ts"
import { lastLine, startTcpClient, tcpClient } from "../harness/servers.ts"
import { overBoth } from "../harness/topology.ts"
import type { Running } from "./running.ts"

/** More than all buffers of the path hold, so that the sender has to wait for the reader. */
const LARGE = 60_000_000
const STOPPED = 1 // Bytes a second: a reader takes a first piece, and no second one during the test.

/** `server` is the TCP server that the clients reach. */
export function testPatience(running: Running, server: { readonly program: Program }): void {
  overBoth((family) => {
    const passesBy = async () => {
      const request = { scenario: "download", bytes: 20_000_000, seed: 41 }
      expect(await tcpClient(running.guest, family, request)).toMatchObject({ intact: true })
    }

    test("1,000 requests over one connection are answered one by one", async () => {
      expect(await tcpClient(running.guest, family, { scenario: "requests", count: 1000 })).toEqual({ answered: 1000 })
    })

    test("a client that stops reading holds the server up, and loses nothing", async () => {
      const sent = `"sent","name":"to a stopped client over ${family.name}"`
      const name = `to a stopped client over ${family.name}`
      const request = { scenario: "slow-download", bytes: LARGE, seed: 42, rate: STOPPED, name }
      const client = startTcpClient(running.guest, family, request, { keepInputOpen: true })
      await client.printed(/started/)
      await passesBy()
      expect(server.program.stdout).not.toContain(sent)
      client.write("now as fast as you can\n")
      expect(lastLine((await client.result).stdout)).toEqual({ bytes: LARGE, intact: true })
      await server.program.printed(new RegExp(sent))
    })

    test("a server that stops reading holds the client up, and loses nothing", async () => {
      const client = startTcpClient(running.guest, family, {
        scenario: "slow-upload",
        bytes: LARGE,
        seed: 43,
        rate: STOPPED,
      })
      await client.printed(/started/)
      await passesBy()
      expect(client.stdout).not.toContain("sent")
      server.program.write("now as fast as you can\n")
      expect(lastLine((await client.result).stdout)).toEqual({ bytes: LARGE, intact: true })
    })

    test("beside 1,000 idle connections, new ones work", async () => {
      const request = { scenario: "hold", connections: 1000, name: "idle" }
      const idle = startTcpClient(running.guest, family, request, { keepInputOpen: true })
      // Of a thousand at once, those for which a queue has no room retry after 1, 3, 7, 15 and 31 seconds.
      await idle.printed(/"held":1000/)
      await passesBy()
      expect(idle.ended).toBe(false)
      idle.closeInput()
      expect(lastLine((await idle.result).stdout)).toEqual({ endings: "input" })
    })
  }, running.families)
}
