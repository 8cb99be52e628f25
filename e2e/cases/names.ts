/** Name resolution, over both transports. */
import { afterAll, beforeAll, expect } from "vitest"
import { testWith } from "../harness/machine.ts"
import type { Program } from "../harness/processes.ts"
import { ipv4, ipv6, overBoth, type Topology } from "../harness/topology.ts"
import type { Running } from "./running.ts"

/** Runs `dig`, which prints only the answer. */
export const dig: readonly string[] = ["dig", "+short", "+tries=2", "+time=5"]

/** A name server in the world while the tests of the file or `describe` block run. */
export function useNameServer(topology: Topology): void {
  let server: Program

  beforeAll(async () => {
    const listen = [ipv4, ipv6].flatMap((family) => [family.server, family.other, family.gateway])
    server = topology.world.startNode("dns-server.mjs", { listen })
    await server.printed(/ready/)
  })
  afterAll(() => server?.stop())
}

/** Against the world's name server. */
export function testResolution(running: Running): void {
  overBoth((family) => {
    const resolve = (...argv: string[]) => running.guest.must([...dig, `@${family.server}`, ...argv])

    testWith("dig")("over UDP", async () => {
      expect(await resolve("host.example", "A")).toBe("198.51.100.7\n")
      expect(await resolve("host.example", "AAAA")).toBe("2001:db8:2::7\n")
    })

    testWith("dig")("over TCP", async () => {
      expect(await resolve("+tcp", "host.example", "A")).toBe("198.51.100.7\n")
    })

    testWith("dig")("an answer too large for UDP is fetched over TCP", async () => {
      expect((await resolve("big.example", "TXT")).trim().split("\n")).toHaveLength(20)
    })
  })
}
