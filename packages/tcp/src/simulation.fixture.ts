/** Simulated TCP connections, from seeds: shared by the simulation tests of each kind. */
import {
  environmentVariable,
  type Scenario,
  type SimulationOptions,
  type SimulationReport,
  seeds,
  simulate,
} from "@demiflow/testkit"
import { describe, expect, it } from "vitest"
import { tcp } from "./index.ts"

/** Runs of each kind. For more, set DEMIFLOW_RUNS=100000; for single ones, DEMIFLOW_SEED. */
const RUNS = Number(environmentVariable("DEMIFLOW_RUNS") ?? 600)
const GROUP = 100

/** Adds descriptors for listening sockets: without a free one, a client would wait for good. */
function withDescriptorsToListen(scenario: Scenario): Scenario {
  const { sockets, connections } = scenario
  const listening = connections.filter(({ startedBy }) => startedBy === "world").length
  if (sockets.descriptors === undefined || listening === 0) return scenario
  return { ...scenario, sockets: { ...sockets, descriptors: sockets.descriptors + listening + 1 } }
}

/**
 * Delays the reuse of ports. A correspondent that reuses its port before the guest has acknowledged everything of the
 * previous connection is refused, and that may take a while where acknowledgements are late or lost.
 */
function withTimeToAcknowledge(scenario: Scenario): Scenario {
  const { fromGuest, toGuest, slowGuest } = scenario
  const isPrompt = [fromGuest, toGuest].every((faults) => Object.values(faults).every((value) => value === 0))
  if (isPrompt && slowGuest === undefined) return scenario
  const connections = scenario.connections.map((plan) =>
    plan.startedBy === "world" && plan.repeatsAfter !== undefined ? { ...plan, repeatsAfter: 200_000 } : plan,
  )
  return { ...scenario, connections }
}

const plugins: SimulationOptions["plugins"] = (random) => [
  tcp({
    holdPoolSize: random.pick([64 << 10, 1 << 20]),
    acknowledgeOnAcceptRtt: random.pick([0, 1_000, 1_000_000]),
  }),
]

export function fromWorld(scenario: Scenario): Scenario {
  const connections = scenario.connections.map((plan) => ({ ...plan, startedBy: "world" as const }))
  return { ...scenario, connections }
}

/** Simulates a hypervisor that reads now and then, over a link that splits nothing. */
export function congested(scenario: Scenario): Scenario {
  const link = { ...scenario.link, tcpSegmentation: false }
  return { ...scenario, link, slowGuest: { bytes: 10_000, interval: 5 } }
}

/**
 * Defines the tests of one kind. Each kind has a file of its own, so that they run side by side.
 *
 * @param share part of the runs, 0 to 1
 */
export function testSimulated(kind: string, share: number, adjust: (scenario: Scenario) => Scenario): void {
  describe(`TCP, simulated, ${kind}`, () => {
    const all = seeds(Math.ceil(RUNS * share))
    for (let start = 0; start < all.length; start += GROUP) {
      const group = all.slice(start, start + GROUP)
      it(`seeds ${group[0]} to ${group.at(-1)}: every byte once and in order, and nothing left behind`, () => {
        const reports: SimulationReport[] = []
        for (const seed of group) {
          reports.push(
            simulate(seed, {
              plugins,
              adjust: (scenario) => withTimeToAcknowledge(withDescriptorsToListen(adjust(scenario))),
            }),
          )
        }
        // A simulation in which nothing gets through would find nothing.
        if (group.length < GROUP) return
        expect(reports.reduce((sum, { completed }) => sum + completed, 0)).toBeGreaterThan(GROUP / 2)
        expect(reports.reduce((sum, { failed }) => sum + failed, 0)).toBeGreaterThan(GROUP / 20)
      }, 600_000)
    }
  })
}
