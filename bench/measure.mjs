// Measures in the namespaces that main.mjs made, and shows the results.
import { readFileSync } from "node:fs"
import { commandOf, parseArguments } from "./arguments.mjs"
import { DEFAULT_MTU, isWanted, processCases, trafficCases } from "./cases.mjs"
import { describeMachine } from "./machine.mjs"
import { choosePeers } from "./peers.mjs"
import { raiseOpenFiles } from "./processes.mjs"
import { makeReachable } from "./reachable.mjs"
import { Report } from "./report/report.mjs"
import { titleOf } from "./report/results.mjs"
import { possibleScaleCases, scaleRounds } from "./scale.mjs"
import { congestionControl, localServers, makeNetwork, servers, tune } from "./topology.mjs"
import { Traffic, World } from "./traffic.mjs"

/** @typedef {import("./cases.mjs").Row} Row */
/** @typedef {import("./peers.mjs").Peer} Peer */

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1))
// Each of many flows takes a descriptor.
raiseOpenFiles()
// npm runs scripts in the repository's folder, wherever they were started.
process.chdir(process.env.INIT_CWD ?? ".")

const settings = parseArguments(process.argv.slice(2))
const folder = process.env.DEMIFLOW_BENCH_FOLDER
if (settings === undefined || folder === undefined) throw new Error("run it through main.mjs: npm run bench")

process.exit(
  settings.from === undefined
    ? await measure(settings, folder)
    : Report.repeat(JSON.parse(readFileSync(settings.from, "utf8")), settings),
)

/**
 * @param {import("./arguments.mjs").Settings} settings
 * @param {string} folder
 * @returns {Promise<number>} The status to exit with.
 */
async function measure(settings, folder) {
  const generator = `${folder}/traffic`
  const ours = makeReachable(folder, commandOf(settings.program))
  const peers = choosePeers(settings, ours, folder)
  const { host, world: place } = await makeNetwork()
  const { rounds: count, measured, warm, only } = settings
  const report = new Report({
    program: settings.program,
    machine: describeMachine(congestionControl(host)),
    settings: { rounds: count, measured, warm },
    peers: peers.map(({ name, version, isCompared }) => ({
      name,
      title: titleOf(settings.program, { name, version }),
      version,
      isCompared,
    })),
    rows: [],
    complaints: [],
  })
  const wanted = (/** @type {readonly Row[]} */ rows) => rows.filter((row) => isWanted(only, row))

  report.begin()
  for (const [mtu, isLocal] of settingsOf(trafficCases)) {
    const cases = trafficCases.filter(
      (item) => item.mtu === mtu && (item.isLocal ?? false) === isLocal && wanted(item.rows).length > 0,
    )
    const takesPart = (/** @type {Peer} */ peer) => cases.some(({ isFor = () => true }) => isFor(peer))
    if (!peers.some((peer) => peer.isProgram && takesPart(peer))) continue
    const world = isLocal ? new World(host, generator, localServers) : new World(place, generator, servers)
    await world.ready()
    const guests = await startGuests(peers.filter(takesPart), world, mtu, isLocal)
    for (const { rows, measure, isFor = () => true } of cases) {
      await rounds(rows, isFor, async (peer) => {
        const traffic = guests.get(peer)
        if (traffic === undefined) throw new Error("it could not be started")
        return measure(traffic)
      })
    }
    for (const { guest } of guests.values()) await guest.stop()
    await world.stop()
  }
  await measureScale()
  for (const { rows, measure, isFor } of processCases) {
    if (wanted(rows).length > 0 && peers.some(isFor)) await rounds(rows, isFor, (peer) => measure(peer, generator))
  }
  report.write(settings)
  return report.end()

  async function measureScale() {
    const cases = possibleScaleCases(settings.quick).filter(
      ({ rows, isFor }) => wanted(rows).length > 0 && peers.some(isFor),
    )
    if (cases.length === 0) return
    const world = new World(place, generator, servers)
    await world.ready()
    for (const scaleCase of cases) {
      const { rows, isFor, measure } = scaleCase
      const once = async (/** @type {Peer} */ peer) => {
        const guest = await peer.start(DEFAULT_MTU)
        try {
          const traffic = new Traffic(world, guest, generator, settings)
          tune(guest.place)
          await traffic.firstAnswer()
          return await measure(peer, traffic)
        } finally {
          await guest.stop()
        }
      }
      await rounds(rows, isFor, once, scaleRounds(scaleCase, settings))
    }
    await world.stop()
  }

  /** @param {readonly Peer[]} those @param {World} world @param {number} mtu @param {boolean} isLocal */
  async function startGuests(those, world, mtu, isLocal) {
    /** @type {Map<Peer, Traffic>} */
    const guests = new Map()
    for (const peer of those) {
      try {
        const guest = await peer.start(mtu, isLocal)
        const traffic = new Traffic(world, guest, generator, settings)
        tune(guest.place)
        // Its ports are open by then, too.
        await traffic.firstAnswer()
        guests.set(peer, traffic)
      } catch (error) {
        report.complain(`${peer.name}, MTU ${mtu}`, error)
      }
    }
    return guests
  }

  /**
   * Measures each peer in turn, so that changes on the machine affect all of them.
   * @param {readonly Row[]} rows
   * @param {(peer: Peer) => boolean} isFor
   * @param {(peer: Peer) => Promise<readonly (number | undefined)[]>} once
   * @param {number} [times] How often.
   */
  async function rounds(rows, isFor, once, times = count) {
    const label = rows[0].label
    for (let round = 1; round <= times; round++) {
      for (const peer of peers.filter(isFor)) {
        report.progress(`${label}: ${peer.name}, round ${round} of ${times}`)
        try {
          const values = await once(peer)
          rows.forEach((row, index) => {
            if (isWanted(only, row)) report.add(row, peer.name, values[index])
          })
        } catch (error) {
          report.complain(`${peer.name}, ${label}`, error)
        }
      }
    }
    report.finish(wanted(rows))
  }
}

/**
 * The different settings of guests, each once, in the order of the cases.
 * @param {readonly import("./cases.mjs").TrafficCase[]} cases
 * @returns {readonly (readonly [mtu: number, isLocal: boolean])[]}
 */
function settingsOf(cases) {
  const keys = new Map(
    cases.map(({ mtu, isLocal = false }) => [`${mtu} ${isLocal}`, /** @type {const} */ ([mtu, isLocal])]),
  )
  return [...keys.values()]
}
