/** Datagrams of every size both ways, and who may answer, whatever the MTU; and those to groups. */
import { join } from "node:path"
import { describe, expect } from "vitest"
import { testDatagrams } from "./cases/udp.ts"
import { reachable, testWith } from "./harness/machine.ts"
import { usePasta } from "./harness/pasta.ts"
import { useServer } from "./harness/servers.ts"
import { useTopology } from "./harness/topology.ts"

const topology = useTopology()
useServer("udp-server", topology)

describe.each([65520, 1500])("with an MTU of %i", (mtu) => {
  testDatagrams(usePasta(topology, { options: ["--config-net", "-m", String(mtu)] }))
})

describe("to groups", () => {
  const running = usePasta(topology)
  const program = (...words: string[]) => [
    "/usr/bin/python3",
    reachable(join(import.meta.dirname, "programs/groups.py")),
    ...words,
  ]

  testWith("python3")(
    "datagrams leave by the host's interface, with the guest's hop limit, and are answered",
    async () => {
      const groups = ["224.0.0.251", "239.255.255.250", "ff02::fb", "ff05::c"]
      const world = topology.world.start(program("hear", "1900", "eth0", ...groups), { timeout: 300_000 })
      await world.printed(/ready/)
      for (const hopLimit of [1, 7]) {
        const answers = await running.guest.must(program("tell", "1900", String(hopLimit), ...groups))
        expect(answers.trim().split("\n")).toEqual(groups)
        for (const group of groups) await world.printed(new RegExp(`^${group} ${hopLimit}$`, "m"))
      }
      const { stdout } = await world.stop()
      // Once each.
      expect(stdout.trim().split("\n")).toHaveLength(1 + 2 * groups.length)
    },
  )
})
