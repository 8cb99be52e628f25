/** The rules of -t and -u: where they listen, where they lead in the guest, and the source that the guest sees. */
import { beforeAll, expect, test } from "vitest"
import { second } from "../harness/from-host.ts"
import type { Place } from "../harness/places.ts"
import { atPorts, type Protocol, refused } from "../harness/protocols.ts"
import { useServerIn } from "../harness/servers.ts"
import { families, overBoth, type Topology } from "../harness/topology.ts"

/** The options under test. */
export function portRules({ fromHost, port: to }: Protocol): readonly string[] {
  return [
    String(to),
    `7000:${to},7001:${to}`,
    "7100-7103:6100-6103",
    "7200-7203:6100-6103,~7202",
    ...families.flatMap(({ version, loopback, host }) => [
      `${loopback}/730${version}:${to}`,
      `${host}/740${version}:${to}`,
    ]),
    `%eth0/7600:${to}`,
  ].flatMap((rule) => [fromHost, rule])
}

/** `loopbackAs` is the source address that the guest sees for the host's loopback. */
export function testPortRules(
  topology: Topology,
  protocol: Protocol,
  running: { readonly guest: Place },
  loopbackAs: "gateway" | "host",
): void {
  const { host, world } = topology
  const { arrival, port: serverPort } = protocol
  useServerIn(protocol.server, () => running.guest, atPorts([serverPort, 6100, 6101, 6102, 6103]))

  overBoth((family) => {
    const rule = (hundred: number) => hundred + family.version
    const fromWorld = { from: family.gateway, port: serverPort }
    const fromLoopback = { from: family[loopbackAs], port: serverPort }

    test("an address of the world arrives as it is", async () => {
      const arrived = { from: family.server, port: serverPort }
      expect(await arrival(world, family.host, serverPort, family.server)).toEqual(arrived)
    })

    test(`the host's loopback arrives as the ${loopbackAs}`, async () => {
      expect(await arrival(host, family.loopback, serverPort)).toEqual(fromLoopback)
    })

    test("the host's own address, which is the guest's as well, arrives as ours", async () => {
      const ours = family.version === 4 ? /^192\.0\.2\.1$/ : /^(2001:db8:1::1$|fe80:)/
      const arrived = { from: expect.stringMatching(ours), port: serverPort }
      expect(await arrival(host, family.host, serverPort)).toEqual(arrived)
    })

    test.each([7000, 7001])("port %i goes to the port that it is mapped to", async (port) => {
      expect(await arrival(world, family.host, port)).toEqual(fromWorld)
    })

    test.each([0, 3])("the ports of a range go to those of another (%i)", async (i) => {
      expect(await arrival(world, family.host, 7100 + i)).toEqual({ from: family.gateway, port: 6100 + i })
    })

    test("an exclusion leaves a hole in a range", async () => {
      expect(await arrival(world, family.host, 7201)).toMatchObject({ port: 6101 })
      expect(await arrival(world, family.host, 7203)).toMatchObject({ port: 6103 })
      expect(await arrival(world, family.host, 7202)).toEqual(refused)
    })

    test("a port on a loopback address is open only there", async () => {
      expect(await arrival(host, family.loopback, rule(7300))).toEqual(fromLoopback)
      expect(await arrival(world, family.host, rule(7300))).toEqual(refused)
    })

    test("a port on the host's address is open only there", async () => {
      expect(await arrival(world, family.host, rule(7400))).toEqual(fromWorld)
      expect(await arrival(host, family.loopback, rule(7400))).toEqual(refused)
    })

    test("a port on an interface is open only there", async () => {
      expect(await arrival(world, family.host, 7600)).toEqual(fromWorld)
      expect(await arrival(host, family.loopback, 7600)).toEqual(refused)
    })
  })
}

/** An address for each IP version. */
type Addresses = Readonly<Record<4 | 6, string>>

/** Options whose rules name a target address in the guest. */
export function targetRules({ fromHost, port }: Protocol, targets: Addresses): readonly string[] {
  // With a listening address: a port and an IPv6 address would be parsed as a listening address themselves.
  return [fromHost, `0.0.0.0/7500:${targets[4]}/${port}`, fromHost, `::/7500:${targets[6]}/${port}`]
}

/** `targets` are addresses of the guest; `arrivesAs` the source addresses that the guest sees for the world. */
export function testTargetRules(
  topology: Topology,
  protocol: Protocol,
  running: { readonly guest: Place },
  targets: Addresses,
  arrivesAs: "gateway" | "loopback",
): void {
  // The server listens nowhere else: a request that arrives has arrived there.
  useServerIn(protocol.server, () => running.guest, [{ address: targets[4] }, { address: targets[6] }])

  overBoth((family) => {
    test("a rule's target is where it leads", async () => {
      const arrived = { from: family[arrivesAs], port: protocol.port }
      expect(await protocol.arrival(topology.world, family.host, 7500)).toEqual(arrived)
    })
  })
}

/** Gives the guest its second addresses. */
export function useSecondAddresses(place: () => Place, device: string): void {
  beforeAll(async () => {
    for (const { version, prefixLength } of families) {
      const address = ["ip", "addr", "add", `${second[version]}/${prefixLength}`, "dev", device]
      await place().must(version === 6 ? [...address, "nodad"] : address)
    }
  })
}
