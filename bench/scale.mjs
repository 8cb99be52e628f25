// The cases about many open flows: each starts a new guest, which has no other flows.
import { mostOpenFiles, pause, residentMemory } from "./processes.mjs"

/** @typedef {import("./cases.mjs").Row} Row */
/** @typedef {import("./peers.mjs").Peer} Peer */
/** @typedef {import("./traffic.mjs").Traffic} Traffic */

/**
 * @typedef {object} ScaleCase
 * @property {number} flows
 * @property {(peer: Peer) => boolean} isFor
 * @property {readonly Row[]} rows
 * @property {(peer: Peer, traffic: Traffic) => Promise<readonly (number | undefined)[]>} measure
 */

export const SCALE = "Scale"
const COUNTS = [1, 100, 10_000, 50_000]
const MOST_WHEN_QUICK = 20_000
const FIRST_FLOWS = 5000
const FURTHER_FLOWS = 10_000
/** From this number of flows on, a case takes long. */
const MANY = 10_000
const MOST_ROUNDS_WITH_MANY = 3
/** With fewer flows, the program's other memory dominates the result. */
const FEWEST_FOR_MEMORY = 10_000
/** Descriptors for flows that begin beside the others, and for other files of each process. */
const FURTHER_FILES = 1200

const kinds = /** @type {const} */ ({
  "datagram-flows": { one: "UDP flow", many: "UDP flows", warmUp: "datagram-exchange" },
  connections: { one: "TCP connection", many: "TCP connections", warmUp: "connect-exchange" },
})

/** @param {keyof typeof kinds} kind @param {number} flows @returns {ScaleCase} */
function scaleCase(kind, flows) {
  const { one, many, warmUp } = kinds[kind]
  const beside = `beside ${flows.toLocaleString("en")} ${flows === 1 ? one : many}`
  const hasMemory = flows >= FEWEST_FOR_MEMORY
  return {
    flows,
    // The other peers are made for few programs of one guest, or keep no flows.
    isFor: (peer) => peer.runsCommands,
    rows: [
      { group: SCALE, label: `set-up ${beside}`, unit: "1000/s", better: "more" },
      { group: SCALE, label: `request-response ${beside}`, unit: "1000/s", better: "more" },
      ...(hasMemory
        ? [
            /** @type {Row} */ ({
              group: SCALE,
              label: `memory for each, ${beside.slice(7)}`,
              unit: "B",
              better: "less",
            }),
          ]
        : []),
    ],
    async measure(peer, traffic) {
      const dataPath = traffic.guest.dataPath()
      await traffic.exchange(warmUp)
      await pause(50)
      const before = residentMemory(dataPath).all
      try {
        const { opened, setUpRate, rate } = await traffic.manyFlows(kind, flows, () => residentMemory(dataPath).all)
        const memory = hasMemory ? [((opened - before) * 2 ** 20) / flows] : []
        return [setUpRate / 1000, rate / 1000, ...memory]
      } catch (error) {
        // If another program doesn't support this number, that is a result.
        if (!peer.isOurs) return []
        throw error
      }
    },
  }
}

/** What a program that has just been started does first. @type {ScaleCase} */
const newFlows = {
  flows: FIRST_FLOWS + FURTHER_FLOWS,
  isFor: (peer) => peer.runsCommands,
  rows: [
    {
      group: SCALE,
      label: `new UDP flows, the first ${FIRST_FLOWS.toLocaleString("en")}`,
      unit: "1000/s",
      better: "more",
    },
    {
      group: SCALE,
      label: `new UDP flows, ${FURTHER_FLOWS.toLocaleString("en")} more`,
      unit: "1000/s",
      better: "more",
    },
    { group: SCALE, label: "memory of the data path, these open", unit: "MiB", better: "less" },
    { group: SCALE, label: "memory not from files, these open", unit: "MiB", better: "less" },
  ],
  async measure(peer, traffic) {
    const dataPath = traffic.guest.dataPath()
    try {
      const memory = () => residentMemory(dataPath)
      const { opened, firstRate, furtherRate } = await traffic.newFlows(FIRST_FLOWS, FURTHER_FLOWS, memory)
      return [firstRate / 1000, furtherRate / 1000, opened.all, opened.anonymous]
    } catch (error) {
      if (!peer.isOurs) return []
      throw error
    }
  },
}

/** @type {readonly ScaleCase[]} */
export const scaleCases = [
  newFlows,
  ...Object.keys(kinds).flatMap((kind) =>
    COUNTS.map((flows) => scaleCase(/** @type {keyof typeof kinds} */ (kind), flows)),
  ),
]

/**
 * The cases that can be measured here: each flow takes a descriptor at either end, and one of the program in between.
 * @param {boolean} isQuick
 * @param {number} openFiles How many a process may have open.
 */
export function possibleScaleCases(isQuick, openFiles = mostOpenFiles()) {
  const most = openFiles - FURTHER_FILES
  return scaleCases.filter(({ flows }) => flows <= most && (!isQuick || flows <= MOST_WHEN_QUICK))
}

/**
 * The number of measurements of a case.
 * @param {ScaleCase} scaleCase
 * @param {{ quick: boolean, rounds: number }} settings
 */
export function scaleRounds({ flows }, { quick, rounds }) {
  if (quick) return 1
  return flows < MANY ? rounds : Math.min(rounds, MOST_ROUNDS_WITH_MANY)
}
