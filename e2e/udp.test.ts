/** Datagrams of every size both ways, whatever the MTU, the ends that may answer, and datagrams to groups. */
import { join } from "node:path"
import { describe, expect } from "vitest"
import { testDatagrams } from "./cases/udp.ts"
import { timeLeft } from "./harness/limits.ts"
import { reachable, testWith } from "./harness/machine.ts"
import { usePasta } from "./harness/pasta.ts"
import type { Program } from "./harness/processes.ts"
import { useServer } from "./harness/servers.ts"
import { families, useTopology } from "./harness/topology.ts"

const topology = useTopology()
useServer("udp-server", topology)

describe.each([65520, 1500])("with an MTU of %i", (mtu) => {
  testDatagrams(usePasta(topology, { options: ["--config-net", "-m", String(mtu)] }))
})

describe("to groups", () => {
  const groups = ["224.0.0.251", "239.255.255.250", "ff02::fb", "ff05::c"]
  const open = usePasta(topology)
  const closed = usePasta(topology, { options: ["--config-net", "--no-host"] })
  const program = (...words: string[]) => [
    "/usr/bin/python3",
    reachable(join(import.meta.dirname, "programs/groups.py")),
    ...words,
  ]

  async function worldThatHears(): Promise<Program> {
    const world = topology.world.start(program("hear", "1900", "eth0", ...groups), { timeout: timeLeft() })
    await world.printed(/ready/)
    return world
  }

  testWith("python3")(
    "datagrams leave by the host's interface, with the guest's hop limit, and are answered",
    async () => {
      const world = await worldThatHears()
      for (const hopLimit of [1, 7]) {
        const answers = await open.guest.must(program("tell", "1900", String(hopLimit), ...groups))
        expect(answers.trim().split("\n")).toEqual(groups)
        for (const group of groups) await world.printed(new RegExp(`^${group} ${hopLimit}$`, "m"))
      }
      const { stdout } = await world.stop()
      // Each arrives once.
      expect(stdout.trim().split("\n")).toHaveLength(1 + 2 * groups.length)
    },
  )

  testWith("python3")("with --no-host, none leaves, and others do", async () => {
    const world = await worldThatHears()
    // In each family, the last datagram shows that none has come before.
    const others = families.map(({ server }) => server)
    await closed.guest.must(program("send", "1900", "7", ...groups, ...others))
    for (const address of others) await world.printed(new RegExp(`^${address} `, "m"))
    const { stdout } = await world.stop()
    const heard = stdout.trim().split("\n").slice(1)
    expect(heard.map((line) => line.split(" ")[0]).sort()).toEqual(others)
  })
})
