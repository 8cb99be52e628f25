/** How connections end: in halves, by reset, and because a server dies. */
import { expect, test } from "vitest"
import type { Place } from "../harness/places.ts"
import type { Program } from "../harness/processes.ts"
import { lastLine, startServer, startTcpClient, TCP_PORT, tcpClient } from "../harness/servers.ts"
import { overBoth } from "../harness/topology.ts"
import type { Running } from "./running.ts"

/** `servers` is where the servers run, `server` the TCP server there. */
export function testEndings(running: Running, servers: () => Place, server: { readonly program: Program }): void {
  overBoth((family) => {
    test("after the client's FIN the server's data still arrives", async () => {
      const request = { scenario: "end-first", bytes: 5_000_000, seed: 11 }
      expect(await tcpClient(running.guest, family, request)).toEqual({ bytes: 5_000_000, intact: true })
    })

    test("after the server's FIN the client's data still arrives", async () => {
      const request = { scenario: "end-last", bytes: 5_000_000, seed: 12 }
      const seen = server.program.stdout.length
      expect(await tcpClient(running.guest, family, request)).toEqual({ text: "bye" })
      // Only new output counts: the other family's run prints the same.
      await server.program.printed(
        new RegExp(`^[^]{${seen},}"event":"received","seed":12,"bytes":5000000,"intact":true`),
      )
    })

    test.each([0, 1_000_000])("a reset by the server after %i bytes reaches the client", async (after) => {
      const result = await tcpClient<{ how: string }>(running.guest, family, { scenario: "reset-by-server", after })
      // A client that still writes when the reset arrives gets EPIPE first.
      expect(["ECONNRESET", "EPIPE"]).toContain(result.how)
    })

    test("a reset by the client reaches the server", async () => {
      const seen = server.program.stdout.length
      await tcpClient(running.guest, family, { scenario: "reset-by-client" })
      await server.program.printed(new RegExp(`^[^]{${seen},}"event":"ended","name":"reset","how":"ECONNRESET"`))
    })

    test.each(["down", "up"])(
      "a server killed in the middle of a transfer (%s) resets the client",
      async (direction) => {
        const port = TCP_PORT + 100
        const victim = await startServer("tcp-server", servers(), [{ address: family.server, port }])
        const client = startTcpClient(running.guest, family, { scenario: "until-death", direction, port })
        await client.printed(/started/)
        victim.kill("SIGKILL")
        await victim.result
        const { stdout } = await client.result
        expect(["ECONNRESET", "EPIPE", "FIN"]).toContain(lastLine<{ how: string }>(stdout).how)
        // The next transfer shows that the path itself still works.
        const after = await tcpClient(running.guest, family, { scenario: "download", bytes: 100_000, seed: 1 })
        expect(after).toMatchObject({ bytes: 100_000, intact: true })
      },
    )

    test("a client killed in the middle of a transfer ends the server's connection", async () => {
      const request = { scenario: "hold", connections: 3, name: `killed over ${family.name}` }
      const client = startTcpClient(running.guest, family, request, { keepInputOpen: true })
      await client.printed(/held/)
      client.kill("SIGKILL")
      await client.result
      await server.program.printed(new RegExp(`("closed","name":"killed over ${family.name}"[^]*){3}`))
    })
  }, running.families)
}
