/** Ports of the namespace's loopback that pasta forwards to services that listen only at the host's. */
import { describe, expect, test } from "vitest"
import { testTransfers } from "./cases/tcp-transfer.ts"
import { testDatagrams } from "./cases/udp.ts"
import { throughLoopback } from "./harness/from-host.ts"
import { usePasta } from "./harness/pasta.ts"
import { type Protocol, refused, tcp, udp } from "./harness/protocols.ts"
import { useServerIn } from "./harness/servers.ts"
import { families, overBoth, useTopology } from "./harness/topology.ts"

const topology = useTopology()

/** The options under test. */
function rules({ fromGuest, port: to }: Protocol): readonly string[] {
  return [
    String(to),
    `7000:${to},7001:${to}`,
    "7100-7103:6100-6103",
    "7200-7203:6100-6103,~7202",
    ...families.flatMap(({ version, loopback, host }) => [
      `${loopback}/730${version}:${to}`,
      `${host}/740${version}:${to}`,
    ]),
  ].flatMap((rule) => [fromGuest, rule])
}

describe.each([
  { protocol: tcp, alone: ["-t", "none", "-u", "none", "-U", "none"] },
  { protocol: udp, alone: ["-t", "none", "-T", "none", "-u", "none"] },
])("$protocol.name", ({ protocol, alone }) => {
  const { arrival, port: serverPort } = protocol
  const running = usePasta(topology, { options: ["--config-net", ...rules(protocol), ...alone] })
  const ports = [serverPort, 6100, 6101, 6102, 6103]
  const onLoopback = families.flatMap(({ loopback }) => ports.map((port) => ({ address: loopback, port })))
  useServerIn(protocol.server, () => topology.host, onLoopback)

  overBoth((family) => {
    const fromLoopback = (port: number) => ({ from: family.loopback, port })
    const rule = (hundred: number) => hundred + family.version

    test("what the namespace asks at its loopback arrives from the host's", async () => {
      expect(await arrival(running.guest, family.loopback, serverPort)).toEqual(fromLoopback(serverPort))
    })

    test.each([7000, 7001])("port %i goes to the port that it is mapped to", async (port) => {
      expect(await arrival(running.guest, family.loopback, port)).toEqual(fromLoopback(serverPort))
    })

    test.each([0, 3])("the ports of a range go to those of another (%i)", async (i) => {
      expect(await arrival(running.guest, family.loopback, 7100 + i)).toEqual(fromLoopback(6100 + i))
    })

    test("an exclusion leaves a hole in a range", async () => {
      expect(await arrival(running.guest, family.loopback, 7201)).toEqual(fromLoopback(6101))
      expect(await arrival(running.guest, family.loopback, 7203)).toEqual(fromLoopback(6103))
      expect(await arrival(running.guest, family.loopback, 7202)).toEqual(refused)
    })

    test("a port that no rule names is refused, whatever the host has there", async () => {
      expect(await arrival(running.guest, family.loopback, 6100)).toEqual(refused)
    })

    test("a port on a loopback address is open only there", async () => {
      expect(await arrival(running.guest, family.loopback, rule(7300))).toEqual(fromLoopback(serverPort))
      expect(await arrival(running.guest, family.host, rule(7300))).toEqual(refused)
    })

    test("a port on the namespace's own address is open only there", async () => {
      expect(await arrival(running.guest, family.host, rule(7400))).toMatchObject({ port: serverPort })
      expect(await arrival(running.guest, family.loopback, rule(7400))).toEqual(refused)
    })

    test("the host's ports stay the host's own", async () => {
      expect(await arrival(topology.world, family.host, 7000)).toEqual(refused)
      expect(await arrival(topology.host, family.loopback, 7000)).toEqual(refused)
    })
  })

  const clients = {
    get guest() {
      return running.guest
    },
    families: throughLoopback,
  }
  if (protocol === tcp) testTransfers(clients, 40)
  else testDatagrams(clients, false)
})
