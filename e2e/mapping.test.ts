/** Addresses that mean the host: its loopback, and its own address, which the guest's shadows. */
import { testMapping } from "./cases/mapping.ts"
import { Pasta } from "./harness/pasta.ts"
import { useTopology } from "./harness/topology.ts"

const topology = useTopology()

testMapping(topology, async (options, body) => {
  const pasta = await Pasta.start(topology, { options: ["--config-net", ...options] })
  try {
    await body(pasta.guest)
  } finally {
    await pasta.stop()
  }
})
