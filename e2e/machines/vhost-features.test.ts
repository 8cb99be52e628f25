/** Every feature that a front end may refuse, other rings, and other memory: data is intact both ways. */
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Namespace } from "../harness/places.ts"
import { tcpClient, udpClient, useServer } from "../harness/servers.ts"
import { Connection, type StandInCounts } from "../harness/stand-in.ts"
import { families, useTopology } from "../harness/topology.ts"

const BYTES = 3_000_000
const sizes = [0, 1, 1400, 1473, 9000, 65_507]
/** The same guest each time. */
const mac = "02:00:5e:10:00:43"

/** Words of `vhost-stand-in/main.c`. */
const refused: readonly string[] = [
  "csum",
  "guest-csum",
  "tso",
  "tso4",
  "tso6",
  "guest-tso",
  "guest-tso4",
  "guest-tso6",
  "ecn",
  "uso",
  "guest-uso",
  "guest-uso4",
  "guest-uso6",
  "mrg",
  "mtu",
  "announce",
  "event",
  "indirect",
  "reply",
  "slots",
  "protocol",
  "csum,guest-csum",
  "tso,guest-tso,uso,guest-uso",
  "mrg,guest-tso",
  "mrg,indirect",
  "mrg,event,indirect",
  "event,reply,slots",
  "csum,guest-csum,mrg,event,indirect,mtu,announce,protocol",
]

const others: readonly string[] = [
  "ring=32",
  "ring=64 no=mrg",
  "ring=1024",
  "ring=32768 memory=4",
  "parts=1",
  "parts=2 no=indirect",
  "verify",
  "regions=3 high",
  "regions=8 no=slots",
  "regions=8 no=mrg,slots,indirect",
  "memory=16 regions=4 high",
  "log",
  "log no=mrg,event regions=3 high",
]

const topology = useTopology()
useServer("tcp-server", topology)
useServer("udp-server", topology)

async function expectIntact(guest: Namespace): Promise<void> {
  for (const family of families) {
    for (const scenario of ["download", "upload", "echo"]) {
      const result = await tcpClient(guest, family, { scenario, bytes: BYTES, seed: 17 })
      expect(result, `${scenario} over ${family.name}`).toEqual({ bytes: BYTES, intact: true })
    }
    expect(await udpClient(guest, family, { scenario: "sizes", sizes })).toEqual({ intact: sizes })
  }
}

describe.each([1500, 65_520])("with an MTU of %i", (mtu) => {
  let connection: Connection
  beforeAll(async () => {
    connection = await Connection.start(topology, { mtu, mac, vhostUser: [] })
    await connection.standIn.stop()
  })
  afterAll(async () => {
    await connection?.passt.stop()
    await connection?.guest.remove()
  })

  let counts: StandInCounts
  test.each([...refused.map((words) => `no=${words}`), ...others])("%s", async (words) => {
    await connection.reconnect({ vhostUser: words.split(" ") })
    try {
      await expectIntact(connection.guest)
    } finally {
      counts = await connection.standIn.stop()
    }
    expect(counts).toMatchObject({ closed: false, refused: 0, unwanted: 0, unlogged: 0 })
  })
})

test("a kernel's own segments are taken and given, at an MTU of 1500", async () => {
  const connection = await Connection.start(topology, { mtu: 1500, vhostUser: [] })
  for (const family of families) {
    await tcpClient(connection.guest, family, { scenario: "echo", bytes: BYTES, seed: 18 })
  }
  const { segments, toPasst, fromPasst } = await connection.standIn.stop()
  expect(segments).toBeGreaterThan(100)
  // Data alone would be more packets of 1500 bytes. Here, some are only acknowledgements.
  const packets = (families.length * BYTES) / 1448
  expect(toPasst).toBeLessThan(packets)
  expect(fromPasst).toBeLessThan(packets)
  await connection.stop()
})
