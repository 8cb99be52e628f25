/** Simulated TCP connections, from seeds: what the simulation tests of each kind share. */
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

/** Runs of each kind; more on request: DEMIFLOW_RUNS=100000, and single ones with DEMIFLOW_SEED. */
const RUNS = Number(environmentVariable("DEMIFLOW_RUNS") ?? 600)
const GROUP = 100

/** Sockets that listen are descriptors too: without one to spare, a client would wait for good. */
function withDescriptorsToListen(scenario: Scenario): Scenario {
  const { host, connections } = scenario
  const listening = connections.filter(({ startedBy }) => startedBy === "world").length
  if (host.descriptors === undefined || listening === 0) return scenario
  return { ...scenario, host: { ...host, descriptors: host.descriptors + listening + 1 } }
}

/**
 * A correspondent that uses its port again before the guest has acknowledged all that the connection before had brought is
 * refused. Where acknowledgements are late or lost, that may take a while.
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

/** As to a hypervisor that reads now and then, over a link that cuts nothing. */
export function congested(scenario: Scenario): Scenario {
  const link = { ...scenario.link, tcpSegmentation: false }
  return { ...scenario, link, slowGuest: { bytes: 10_000, interval: 5 } }
}

/**
 * The tests of one kind, in a file of its own, so that they run side by side.
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
