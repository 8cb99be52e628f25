/** The host's verdict on a connection is the guest's verdict: refused, unreachable, timed out. */
import { beforeAll } from "vitest"
import { giveUpEarly, testVerdicts } from "./cases/tcp-connect.ts"
import { usePasta } from "./harness/pasta.ts"
import { useTopology } from "./harness/topology.ts"

const topology = useTopology()
beforeAll(() => topology.host.set(giveUpEarly))
testVerdicts(usePasta(topology))
