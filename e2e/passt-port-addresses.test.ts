/**
 * Forwarded ports of passt with unusual addresses: the guest uses others, the host doesn't have its own yet, or has no
 * address for its loopback in the guest.
 */
import { beforeAll, describe, expect, test } from "vitest"
import { second } from "./harness/from-host.ts"
import { atPorts, protocols } from "./harness/protocols.ts"
import { TCP_PORT, tcpClient, useServer, useServerIn } from "./harness/servers.ts"
import { DEVICE, usePasst } from "./harness/stand-in.ts"
import { type Family, families, overBoth, useTopology } from "./harness/topology.ts"

const topology = useTopology()
/** The servers' port in the guest. */
const PORT = 5001

describe("a guest with other addresses than it was assigned", () => {
  const others = usePasst(topology, {
    options: ["-t", `7700:${PORT}`, "-u", `7700:${PORT}`],
    unconfigured: true,
  })
  beforeAll(() =>
    others.guest.configure([
      `link set ${DEVICE} up`,
      ...families.flatMap(({ version, prefixLength, gateway }) => [
        `addr add ${second[version]}/${prefixLength} dev ${DEVICE}${version === 6 ? " nodad" : ""}`,
        `route add default via ${gateway}`,
      ]),
    ]),
  )
  const listen = families.map(({ version }) => ({ address: second[version], port: PORT }))
  for (const { server } of protocols) useServerIn(server, () => others.guest, listen)
  useServer("tcp-server", topology)

  overBoth((family) => {
    test("is reached at the one that it was seen to use", async () => {
      const request = { scenario: "attempt", address: family.server, port: TCP_PORT }
      expect(await tcpClient(others.guest, family, request)).toMatchObject({ outcome: "connected" })
      for (const { arrival } of protocols) {
        expect(await arrival(topology.world, family.host, 7700)).toEqual({ from: family.gateway, port: PORT })
      }
    })
  })
})

describe("with --freebind", () => {
  // Not an address of the host when passt starts.
  const late = { 4: "192.0.2.99", 6: "2001:db8:1::99" } as const
  const rule = ({ version }: Family) => `${late[version]}/7900:${PORT}`
  const unbound = usePasst(topology, {
    options: ["--freebind", ...families.flatMap((family) => ["-t", rule(family), "-u", rule(family)])],
  })
  for (const { server } of protocols) useServerIn(server, () => unbound.guest, atPorts([PORT]))

  overBoth(({ version, prefixLength, gateway }) => {
    test("a port on an address that the host gets later works from then on", async () => {
      const address = `${late[version]}/${prefixLength} dev eth0`
      await topology.host.configure([`addr add ${address}${version === 6 ? " nodad" : ""}`])
      for (const { arrival } of protocols) {
        expect(await arrival(topology.world, late[version], 7900)).toEqual({ from: gateway, port: PORT })
      }
      await topology.host.configure([`addr del ${address}`])
    })
  })
})

describe("with --no-map-gw", () => {
  const unmapped = usePasst(topology, {
    options: ["--no-map-gw", "-t", `7800:${PORT}`, "-u", `7800:${PORT}`],
  })
  for (const { server } of protocols) useServerIn(server, () => unmapped.guest, atPorts([PORT]))

  overBoth((family) => {
    test("the host's loopback has no address in the guest and is dropped, the world arrives", async () => {
      const request = { scenario: "read", address: family.loopback, port: 7800 }
      expect(await tcpClient(topology.host, family, request)).toEqual({ bytes: 0, how: "ECONNRESET" })
      for (const { name, arrival } of protocols) {
        if (name === "UDP") expect(await arrival(topology.host, family.loopback, 7800)).not.toHaveProperty("port")
        expect(await arrival(topology.world, family.host, 7800)).toEqual({ from: family.gateway, port: PORT })
      }
    })

    test("the host's own address, which the guest has as well, arrives as the gateway", async () => {
      for (const { arrival } of protocols) {
        expect(await arrival(topology.host, family.host, 7800)).toEqual({ from: family.gateway, port: PORT })
      }
    })
  })
})

describe("with --no-host", () => {
  const closed = usePasst(topology, {
    options: ["--no-host", "-t", `7950:${PORT}`, "-u", `7950:${PORT}`],
  })
  for (const { server } of protocols) useServerIn(server, () => closed.guest, atPorts([PORT]))

  overBoth((family) => {
    test("the host reaches the guest from any of its addresses, and is answered", async () => {
      for (const { arrival } of protocols) {
        for (const [from, address] of [
          [topology.host, family.loopback],
          [topology.host, family.host],
          [topology.world, family.host],
        ] as const) {
          expect(await arrival(from, address, 7950)).toEqual({ from: family.gateway, port: PORT })
        }
      }
    })
  })
})
