/**
 * Errors of a router or the far host about a datagram reach the guest as ICMP, with the datagram quoted; and the
 * marks of the guest's packets reach them.
 */
import { join } from "node:path"
import { afterAll, beforeAll, expect } from "vitest"
import { reachable, testWith } from "./harness/machine.ts"
import { usePasta } from "./harness/pasta.ts"
import type { Program } from "./harness/processes.ts"
import { CLOSED_PORT } from "./harness/servers.ts"
import { type Family, families, overBoth, useTopology } from "./harness/topology.ts"

interface DatagramError {
  readonly error: string
  readonly type?: number
  readonly code?: number
  readonly mtu?: number
  readonly from?: string
  readonly quoted?: number
}

const topology = useTopology({ router: true })
const running = usePasta(topology)

// The link behind the router has a smaller MTU than the one before it.
beforeAll(async () => {
  await topology.router?.configure(["link set eth1 mtu 1400"])
  await topology.world.configure(["link set eth0 mtu 1400"])
})

const marks = (...words: string[]) => {
  const [how, ...others] = words
  return ["/usr/bin/python3", reachable(join(import.meta.dirname, "programs/marks.py")), how, "5002", ...others]
}

let server: Program | undefined
beforeAll(async () => {
  server = topology.world.start(marks("serve", ...families.map(({ server }) => server)), { timeout: 300_000 })
  await server.printed(/ready/)
})
afterAll(async () => {
  await server?.stop()
})

const send = (_family: Family, address: string, bytes = 100, ...how: string[]): Promise<DatagramError> =>
  running.guest.json([
    "/usr/bin/python3",
    reachable(join(import.meta.dirname, "programs/datagram-error.py")),
    address,
    String(CLOSED_PORT),
    String(bytes),
    ...how,
  ])

overBoth((family) => {
  const four = family.version === 4

  testWith("python3")("port unreachable", async () => {
    const result = await send(family, family.server)
    expect(result).toMatchObject({ error: "ECONNREFUSED", type: four ? 3 : 1, code: four ? 3 : 4, from: family.server })
    expect(result.quoted).toBeGreaterThanOrEqual(100)
  })

  testWith("python3")("host unreachable", async () => {
    const result = await send(family, family.unreachable)
    expect(result).toMatchObject(four ? { error: "EHOSTUNREACH", type: 3, code: 1 } : { type: 1 })
    expect(["EHOSTUNREACH", "ENETUNREACH"]).toContain(result.error)
    expect(result.quoted).toBeGreaterThanOrEqual(100)
  })

  testWith("python3")("administratively prohibited", async () => {
    const result = await send(family, family.prohibited)
    expect(result).toMatchObject(four ? { type: 3, code: 13 } : { error: "EACCES", type: 1, code: 1 })
  })

  testWith("python3")("what the host itself can't route is unreachable", async () => {
    const result = await send(family, family.unroutable)
    expect(["EHOSTUNREACH", "ENETUNREACH", "EACCES"]).toContain(result.error)
  })

  testWith("python3")("a protocol that isn't carried is refused", async () => {
    const [gre, unknown] = [await send(family, family.server, 40, "47"), await send(family, family.server, 40, "253")]
    for (const result of [gre, unknown]) {
      expect(result).toMatchObject({ type: four ? 3 : 4, code: four ? 2 : 1, mtu: four ? 0 : 6, from: family.server })
      expect(result.error).toBe(four ? "ENOPROTOOPT" : "EPROTO")
      expect(result.quoted).toBe(40)
    }
  })

  testWith("ping")("groups that the gateway is in answer to echo requests", async () => {
    const groups = four ? ["224.0.0.1"] : ["ff02::1%eth0", "ff02::2%eth0"]
    for (const group of groups) {
      const answered = await running.guest.run(["ping", "-n", "-c", "2", "-W", "5", "-i", "0.2", "-L", group])
      expect(answered.stdout).toContain(`bytes from ${four ? family.gateway : "fe80::"}`)
    }
  })

  testWith("python3")("packet too big, with the narrowest MTU", async () => {
    const result = await send(family, family.server, 1440, "nofragment")
    expect(result).toMatchObject({ error: "EMSGSIZE", type: four ? 3 : 2, code: four ? 4 : 0, mtu: 1400 })
  })

  testWith("python3")("packet too big for the host's own link", async () => {
    const result = await send(family, family.other, 1480, "nofragment")
    expect(result).toMatchObject({ error: "EMSGSIZE", type: four ? 3 : 2, code: four ? 4 : 0, mtu: 1500 })
  })

  testWith("python3")("packet too big, though larger than anything, where a route is traced", async () => {
    const result = await send(family, family.server, 30_000, "trace")
    expect(result).toMatchObject({ error: "EMSGSIZE", type: four ? 3 : 2, code: four ? 4 : 0, mtu: 1500 })
  })

  testWith("python3")(
    "DSCP and ECN arrive, and come back with the answer; a SYN has the guest's hop limit",
    async () => {
      for (const [trafficClass, hopLimit] of [
        [0xb8, 9],
        [0x03, 200],
      ]) {
        const answer = await running.guest.json(marks("ask", family.server, String(trafficClass), String(hopLimit)))
        expect(answer).toEqual({
          udp: [trafficClass, trafficClass ^ 0xff],
          // For TCP, ECN belongs to the host's kernel. The router decrements the hop limit.
          tcp: [trafficClass & 0xfc, hopLimit - 1],
        })
      }
    },
  )
})
