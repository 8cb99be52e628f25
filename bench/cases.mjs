// The cases of the bench: each yields one row or several.
import { memoryTogether, pause, residentMemory, wakeUps } from "./processes.mjs"
import { SCALE, scaleCases } from "./scale.mjs"
import { addressInside, servers, withDeviceInside } from "./topology.mjs"

/** @typedef {import("./peers.mjs").Peer} Peer */

/**
 * @typedef {object} Row
 * @property {string} group Rows of a group have one title and share a plot.
 * @property {string} label
 * @property {string} unit
 * @property {"more" | "less"} better
 */

/**
 * A case that is measured on a running guest, with other cases before and after it.
 * @typedef {object} TrafficCase
 * @property {number} mtu
 * @property {boolean} [isLocal] True if the servers are on the host's loopback, and the guest uses its own.
 * @property {(peer: Peer) => boolean} [isFor] True for peers to which the case applies; all if absent.
 * @property {readonly Row[]} rows
 * @property {(traffic: import("./traffic.mjs").Traffic) => Promise<readonly (number | undefined)[]>} measure A
 *   value for each row, or undefined.
 */

/**
 * A case that starts a new guest.
 * @typedef {object} ProcessCase
 * @property {(peer: Peer) => boolean} isFor
 * @property {readonly Row[]} rows
 * @property {(peer: Peer, generator: string) => Promise<readonly number[]>} measure
 */

export const DEFAULT_MTU = 65_520
const SMALL_MTU = 1500
const GROUPS = {
  tcp: (/** @type {number} */ mtu) => `TCP, MTU ${mtu}`,
  udp: `UDP, MTU ${DEFAULT_MTU}`,
  exchanges: `Requests and responses, MTU ${DEFAULT_MTU}`,
  local: "Local connections",
  process: "Process",
}

/**
 * @param {number} mtu @param {"up" | "down"} direction @param {number} [streams] @param {4 | 6} [version]
 * @returns {TrafficCase}
 */
function tcpCase(mtu, direction, streams = 1, version = 4) {
  const label = [`TCP ${direction}`, ...(streams > 1 ? [`${streams} streams`] : []), ...(version === 6 ? ["IPv6"] : [])]
  /** @type {Row} */
  const row = { group: GROUPS.tcp(mtu), label: label.join(", "), unit: "Gb/s", better: "more" }
  return {
    mtu,
    rows: [row, costOf(row)],
    async measure(traffic) {
      return figuresOf(
        await (direction === "up" ? traffic.streamsUp(streams, version) : traffic.streamsDown(streams, version)),
      )
    },
  }
}

/** @param {number} mtu @returns {readonly TrafficCase[]} */
function tcpCases(mtu) {
  return [
    tcpCase(mtu, "up"),
    tcpCase(mtu, "down"),
    tcpCase(mtu, "up", 4),
    tcpCase(mtu, "down", 4),
    tcpCase(mtu, "up", 1, 6),
    tcpCase(mtu, "down", 1, 6),
  ]
}

/** Beside what was moved: what moving it cost. @param {Row} row @returns {Row} */
function costOf({ group, label }) {
  return { group, label: `processor time, ${label}`, unit: "s/GiB", better: "less" }
}

/** Of both rows. @param {import("./traffic.mjs").Transfer} transfer */
function figuresOf({ gigabits, processorSecondsPerGibibyte }) {
  return [gigabits, processorSecondsPerGibibyte]
}

/** @param {"up" | "down"} direction @param {number} size @returns {TrafficCase} */
function udpCase(direction, size) {
  /** @type {Row} */
  const row = { group: GROUPS.udp, label: `UDP ${direction}, ${size} bytes`, unit: "Gb/s", better: "more" }
  return {
    mtu: DEFAULT_MTU,
    rows: [row, costOf(row)],
    async measure(traffic) {
      return figuresOf(await (direction === "up" ? traffic.datagramsUp(size) : traffic.datagramsDown(size)))
    },
  }
}

/** @param {"up" | "down"} direction @param {number} flows @returns {TrafficCase} */
function quicCase(direction, flows) {
  const label = `QUIC-like ${direction}${flows > 1 ? `, ${flows} flows` : ""}`
  /** @type {Row} */
  const row = { group: GROUPS.udp, label, unit: "Gb/s", better: "more" }
  return {
    mtu: DEFAULT_MTU,
    rows: [row, costOf(row)],
    async measure(traffic) {
      return figuresOf(await (direction === "up" ? traffic.quicUp(flows) : traffic.quicDown(flows)))
    },
  }
}

/**
 * @param {string} label
 * @param {"exchange" | "connect-exchange" | "datagram-exchange"} kind
 * @returns {TrafficCase}
 */
function exchangeCase(label, kind) {
  return {
    mtu: DEFAULT_MTU,
    rows: [
      { group: GROUPS.exchanges, label, unit: "1000/s", better: "more" },
      { group: GROUPS.exchanges, label: `${label}: median`, unit: "µs", better: "less" },
      { group: GROUPS.exchanges, label: `${label}: 99th percentile`, unit: "µs", better: "less" },
    ],
    async measure(traffic) {
      const { rate, median, percentile99 } = await traffic.exchange(kind)
      return [rate / 1000, median, percentile99]
    },
  }
}

/** @type {TrafficCase} */
const floodCase = {
  mtu: DEFAULT_MTU,
  rows: [
    { group: GROUPS.exchanges, label: "beside 100,000 SYNs: 99th percentile", unit: "µs", better: "less" },
    { group: GROUPS.exchanges, label: "beside 100,000 SYNs: as against quiet", unit: "times", better: "less" },
    { group: GROUPS.exchanges, label: "beside SYNs to very many: as against quiet", unit: "times", better: "less" },
    { group: GROUPS.exchanges, label: "beside SYNs inside the guest: as against quiet", unit: "times", better: "less" },
    { group: GROUPS.exchanges, label: "beside a busy program: as against quiet", unit: "times", better: "less" },
  ],
  async measure(traffic) {
    const quiet = await traffic.exchange("exchange")
    const flooded = await traffic.exchange("flooded-exchange")
    const scattered = await traffic.exchange("scattered-flood-exchange")
    const inside = await withDeviceInside(traffic.guest.place, addressInside, () =>
      traffic.exchange("inside-flood-exchange"),
    )
    const busy = await traffic.exchange("busy-exchange")
    const ratios = [flooded, scattered, inside, busy].map(({ percentile99 }) => percentile99 / quiet.percentile99)
    return [flooded.percentile99, ...ratios]
  },
}

/**
 * One of the cases above, between the guest's loopback and the host's.
 * @param {TrafficCase} from
 * @returns {TrafficCase}
 */
function locally(from) {
  return {
    ...from,
    isLocal: true,
    isFor: (peer) => peer.hasLocalPath,
    rows: from.rows.map((row) => ({ ...row, group: GROUPS.local })),
  }
}

/** @param {string} when @returns {readonly Row[]} */
function memoryRows(when) {
  return [
    { group: GROUPS.process, label: `memory of the data path, ${when}`, unit: "MiB", better: "less" },
    { group: GROUPS.process, label: `memory not from files, ${when}`, unit: "MiB", better: "less" },
  ]
}

/** Not the direct path. @param {Peer} peer */
function isProgram(peer) {
  return peer.isProgram
}

/** @type {readonly TrafficCase[]} */
export const trafficCases = [
  ...tcpCases(DEFAULT_MTU),
  udpCase("up", 1400),
  udpCase("down", 1400),
  udpCase("up", 16_000),
  udpCase("down", 16_000),
  quicCase("up", 1),
  quicCase("down", 1),
  quicCase("up", 100),
  quicCase("down", 100),
  exchangeCase("TCP request-response", "exchange"),
  exchangeCase("TCP connect-request-response", "connect-exchange"),
  exchangeCase("UDP request-response", "datagram-exchange"),
  floodCase,
  {
    mtu: DEFAULT_MTU,
    isFor: isProgram,
    rows: memoryRows("8 TCP streams"),
    async measure(traffic) {
      const { all, anonymous } = await traffic.memoryUnderLoad()
      return [all, anonymous]
    },
  },
  ...tcpCases(SMALL_MTU),
  ...[
    tcpCase(DEFAULT_MTU, "up"),
    tcpCase(DEFAULT_MTU, "down"),
    exchangeCase("TCP request-response", "exchange"),
    exchangeCase("TCP connect-request-response", "connect-exchange"),
    udpCase("up", 1400),
    udpCase("down", 1400),
    exchangeCase("UDP request-response", "datagram-exchange"),
  ].map(locally),
]

/** @type {readonly ProcessCase[]} */
export const processCases = [
  {
    isFor: (peer) => peer.runsCommands,
    rows: [{ group: GROUPS.process, label: "start to end of a command that does nothing", unit: "ms", better: "less" }],
    async measure(peer) {
      const { began, ended } = await peer.runOnce(["true"])
      return [Number(ended - began) / 1e6]
    },
  },
  {
    isFor: (peer) => peer.attach !== undefined,
    rows: [{ group: GROUPS.process, label: "start to ready in the background", unit: "ms", better: "less" }],
    async measure(peer) {
      if (peer.attach === undefined) throw new Error("it attaches to no namespace")
      return [await peer.attach()]
    },
  },
  {
    isFor: isProgram,
    rows: [{ group: GROUPS.process, label: "start to the first answer to a ping", unit: "ms", better: "less" }],
    async measure(peer, generator) {
      const { began, results } = await peer.runOnce([generator, "ping", servers[4]])
      return [Number(BigInt(results[0].nanoseconds) - began) / 1e6]
    },
  },
  {
    isFor: isProgram,
    rows: [
      ...memoryRows("idle"),
      { group: GROUPS.process, label: "memory of all processes, idle", unit: "MiB", better: "less" },
      { group: GROUPS.process, label: "wake-ups in an idle second", unit: "", better: "less" },
    ],
    async measure(peer) {
      const guest = await peer.start(DEFAULT_MTU)
      try {
        await pause(1000)
        const before = wakeUps(guest.processes())
        await pause(1000)
        const after = wakeUps(guest.processes())
        const { all, anonymous } = residentMemory(guest.dataPath())
        return [all, anonymous, memoryTogether(guest.processes()), after - before]
      } finally {
        await guest.stop()
      }
    },
  },
]

/** The titles of the groups, in the order in which they are measured and shown. */
export const groups = [
  GROUPS.tcp(DEFAULT_MTU),
  GROUPS.udp,
  GROUPS.exchanges,
  GROUPS.tcp(SMALL_MTU),
  GROUPS.local,
  SCALE,
  GROUPS.process,
]

/**
 * True if a row is to be measured.
 * @param {RegExp | undefined} only
 * @param {Row} row
 */
export function isWanted(only, { group, label }) {
  return only === undefined || only.test(`${group}: ${label}`)
}

export const allRows = [...trafficCases, ...scaleCases, ...processCases].flatMap(({ rows }) => rows)
