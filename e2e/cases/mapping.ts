/** Addresses that mean the host: its loopback, and its own address, which the guest's shadows. */
import { afterAll, beforeAll, expect, test } from "vitest"
import type { Place } from "../harness/places.ts"
import type { Program } from "../harness/processes.ts"
import { startServer, TCP_PORT, tcpClient, udpClient } from "../harness/servers.ts"
import { type Family, overBoth, type Topology } from "../harness/topology.ts"

interface Who {
  readonly answers: readonly { readonly remoteAddress: string; readonly localAddress: string }[]
}

/** Runs a function with a guest that was connected with these options, and disconnects it. */
type WithGuest = (options: readonly string[], body: (guest: Place) => Promise<void>) => Promise<void>

/** The host that answers at this address over TCP and UDP, and the address from which we arrive there. */
async function whoIs(guest: Place, family: Family, address: string) {
  const { answers } = await tcpClient<Who>(guest, family, { scenario: "who", address })
  const datagram = await udpClient<{ address: string }>(guest, family, { scenario: "who", address })
  return { tcp: answers[0]?.remoteAddress, at: answers[0]?.localAddress, udp: datagram.address }
}

const attempt = (guest: Place, family: Family, address: string) =>
  tcpClient<{ outcome: string }>(guest, family, { scenario: "attempt", address, port: TCP_PORT })

export function testMapping(topology: Topology, connected: WithGuest): void {
  const servers: Program[] = []

  // Nothing listens in the world: an answer can only come from the host.
  beforeAll(async () => {
    const listen = ["127.0.0.1", "::1", "192.0.2.2", "2001:db8:1::2"].map((address) => ({ address }))
    servers.push(await startServer("tcp-server", topology.host, listen))
    servers.push(await startServer("udp-server", topology.host, listen))
  })
  afterAll(() => Promise.all(servers.map((server) => server.stop())))

  overBoth((family) => {
    const free = family.version === 4 ? "192.0.2.99" : "2001:db8:1::99"
    const loopback = { tcp: family.loopback, at: family.loopback, udp: family.loopback }
    const own = { tcp: family.host, at: family.host, udp: family.host }

    test("by default, the gateway is the host's loopback", () =>
      connected([], async (guest) => expect(await whoIs(guest, family, family.gateway)).toEqual(loopback)))

    test("with --no-map-gw, the gateway is the gateway", () =>
      connected(["--no-map-gw"], async (guest) =>
        expect((await attempt(guest, family, family.gateway)).outcome).toBe("ECONNREFUSED"),
      ))

    test("--map-host-loopback names another address, instead of the gateway", () =>
      connected(["--map-host-loopback", free], async (guest) => {
        expect(await whoIs(guest, family, free)).toEqual(loopback)
        expect((await attempt(guest, family, family.gateway)).outcome).toBe("ECONNREFUSED")
      }))

    test("--map-host-loopback none maps nothing", () =>
      connected(["--map-host-loopback", "none"], async (guest) =>
        expect((await attempt(guest, family, family.gateway)).outcome).toBe("ECONNREFUSED"),
      ))

    test("--map-guest-addr reaches the host at the address that it shares with the guest", () =>
      connected(["--map-guest-addr", free], async (guest) => expect(await whoIs(guest, family, free)).toEqual(own)))

    test("--no-host closes every address and name of the host, also one that it gets later; the gateway is the gateway", () =>
      connected(["--no-host", "--map-guest-addr", free], async (guest) => {
        const later = family.version === 4 ? "192.0.2.98" : "2001:db8:1::98"
        await topology.host.configure([
          `addr add ${later}/${family.prefixLength} dev eth0${family.version === 6 ? " nodad" : ""}`,
        ])
        const prohibited = family.version === 4 ? "EHOSTUNREACH" : "EACCES"
        for (const address of [later, free, ...(family.version === 4 ? ["169.254.169.254"] : [])]) {
          expect(await attempt(guest, family, address)).toMatchObject({ outcome: prohibited })
          expect(await udpClient(guest, family, { scenario: "error", address })).toEqual({ code: prohibited })
        }
        expect((await attempt(guest, family, family.gateway)).outcome).toBe("ECONNREFUSED")
        await topology.host.configure([`addr del ${later}/${family.prefixLength} dev eth0`])
      }))
  })
}
