// Measures, in the namespaces that main.mjs made, and shows what was measured.
import { readFileSync } from "node:fs"
import { parseArguments } from "./arguments.mjs"
import { processCases, trafficCases } from "./cases.mjs"
import { describeMachine } from "./machine.mjs"
import { choosePeers } from "./peers.mjs"
import { makeReachable } from "./reachable.mjs"
import { Report } from "./report/report.mjs"
import { congestionControl, makeNetwork, tune } from "./topology.mjs"
import { Traffic, World } from "./traffic.mjs"

/** @typedef {import("./cases.mjs").Row} Row */
/** @typedef {import("./peers.mjs").Peer} Peer */

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1))
// npm runs scripts in the repository's folder, wherever they were called.
process.chdir(process.env.INIT_CWD ?? ".")

const settings = parseArguments(process.argv.slice(2))
const folder = process.env.DEMIFLOW_BENCH_FOLDER
if (settings === undefined || folder === undefined) throw new Error("run it through main.mjs: npm run bench")

if (settings.from === undefined) await measure(settings, folder)
else Report.show(JSON.parse(readFileSync(settings.from, "utf8"))).write(settings)
process.exit()

/**
 * @param {import("./arguments.mjs").Settings} settings
 * @param {string} folder
 */
async function measure(settings, folder) {
  const generator = `${folder}/traffic`
  const peers = choosePeers(settings, makeReachable(folder))
  const { host, world: place } = await makeNetwork()
  const world = new World(place, generator)
  await world.ready()
  const { rounds: count, measured, warm, only } = settings
  const report = new Report({
    machine: describeMachine(congestionControl(host)),
    settings: { rounds: count, measured, warm },
    peers: peers.map(({ name, version, isCompared }) => ({ name, version, isCompared })),
    rows: [],
    complaints: [],
  })
  const isWanted = (/** @type {Row} */ { group, label }) => only === undefined || only.test(`${group}: ${label}`)

  report.begin()
  for (const mtu of new Set(trafficCases.map((item) => item.mtu))) {
    const cases = trafficCases.filter((item) => item.mtu === mtu && item.rows.some(isWanted))
    if (cases.length === 0) continue
    const guests = await startGuests(mtu)
    for (const { rows, measure, isOfProgram = false } of cases) {
      await rounds(rows, isOfProgram, async (peer) => {
        const traffic = guests.get(peer)
        if (traffic === undefined) throw new Error("it could not be started")
        return measure(traffic)
      })
    }
    for (const { guest } of guests.values()) await guest.stop()
  }
  for (const { rows, measure } of processCases) {
    if (rows.some(isWanted)) await rounds(rows, true, (peer) => measure(peer, generator))
  }
  report.end()
  report.write(settings)

  /** @param {number} mtu */
  async function startGuests(mtu) {
    /** @type {Map<Peer, Traffic>} */
    const guests = new Map()
    for (const peer of peers) {
      try {
        const guest = await peer.start(mtu)
        const traffic = new Traffic(world, guest, generator, settings)
        tune(guest.place)
        await traffic.firstAnswer()
        guests.set(peer, traffic)
      } catch (error) {
        report.complain(`${peer.name}, MTU ${mtu}`, error)
      }
    }
    return guests
  }

  /**
   * Each peer in turn, so that what changes on the machine meanwhile changes for all of them.
   * @param {readonly Row[]} rows
   * @param {boolean} isOfProgram
   * @param {(peer: Peer) => Promise<readonly (number | undefined)[]>} once
   */
  async function rounds(rows, isOfProgram, once) {
    const label = rows[0].label
    for (let round = 1; round <= count; round++) {
      for (const peer of peers) {
        report.progress(`${label}: ${peer.name}, round ${round} of ${count}`)
        if (isOfProgram && !peer.isProgram) continue
        try {
          const values = await once(peer)
          rows.forEach((row, index) => {
            if (isWanted(row)) report.add(row, peer.name, values[index])
          })
        } catch (error) {
          report.complain(`${peer.name}, ${label}`, error)
        }
      }
    }
    report.finish(rows.filter(isWanted))
  }
}
