// npm run bench:sockets: TCP through two gateways that face each other, by the sockets of @demiflow/sys and by those of
// @demiflow/node-sockets. See ../README.md.
import { fork } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { compile } from "../compile.mjs"
import { ratio, summarize } from "../statistics.mjs"
import { Traffic, World } from "../traffic.mjs"

/** STREAM_PORT of traffic/traffic.h. */
const PORT = 7001
const SERVER = { 4: "127.0.0.1", 6: "::1" }
/** Where the gateways of each kind listen. */
const addresses = { sys: "127.0.0.2", node: "127.0.0.3" }
const kinds = /** @type {const} */ (["sys", "node"])
const directions = /** @type {const} */ (["up", "down"])
const measures = /** @type {const} */ ([
  ["gigabits", "Gb/s", "more"],
  ["processorSecondsPerGibibyte", "s/GiB", "less"],
])

const { values } = parseArgs({ options: { rounds: { type: "string" }, seconds: { type: "string" } } })
const rounds = Number(values.rounds ?? 5)
const measured = Number(values.seconds ?? 2) * 1000
if (!(rounds >= 1 && measured > 0)) throw new Error("usage: npm run bench:sockets -- [--rounds N] [--seconds S]")

/** @param {"sys" | "node"} kind @returns {Promise<import("../peers.mjs").Guest>} */
async function openGateways(kind) {
  const child = fork(join(import.meta.dirname, "gateways.mjs"), [kind, addresses[kind], String(PORT)])
  const [[what]] = await Promise.race([once(child, "message"), once(child, "exit")]).then((...first) => first)
  if (what !== "ready") throw new Error(`The gateways of ${kind} could not be opened`)
  const pid = child.pid ?? -1
  return { place: [], processes: () => [pid], dataPath: () => pid, stop: async () => child.disconnect() }
}

/** @param {readonly (number | undefined)[]} numbers */
function summary(numbers) {
  return summarize(numbers.filter((number) => number !== undefined))
}

/** @param {string} label @param {readonly string[]} cells */
function line(label, cells) {
  console.log(label.padEnd(16) + cells.map((cell) => cell.padEnd(24)).join(""))
}

/** @param {Record<string, import("../traffic.mjs").Transfer[]>} transfers */
function print(transfers) {
  line("", ["sys", "node-sockets", "ratio"])
  for (const direction of directions) {
    for (const [name, unit, better] of measures) {
      const [sys, node] = kinds.map((kind) => summary(transfers[`${direction} ${kind}`].map((each) => each[name])))
      const cells = [sys, node].map((each) =>
        each ? `${each.median.toFixed(2)} (${each.smallest.toFixed(2)}–${each.largest.toFixed(2)})` : "–",
      )
      line(`${direction}, ${unit}`, [...cells, ratio(node?.median, sys?.median, better)?.toFixed(2) ?? "–"])
    }
  }
}

const folder = mkdtempSync(join(tmpdir(), "demiflow-bench-"))
process.on("exit", () => rmSync(folder, { recursive: true, force: true }))
const generator = join(folder, "traffic")
const problem = compile(join(import.meta.dirname, "../traffic"), generator)
if (problem !== undefined) throw new Error(problem)
const world = new World([], generator, SERVER)
await world.ready()
const guests = { sys: await openGateways("sys"), node: await openGateways("node") }
/** @type {Record<string, import("../traffic.mjs").Transfer[]>} */
const transfers = Object.fromEntries(directions.flatMap((way) => kinds.map((kind) => [`${way} ${kind}`, []])))
for (let round = 0; round < rounds; round++) {
  for (const direction of directions) {
    for (const kind of kinds) {
      const traffic = new Traffic(world, guests[kind], generator, { warm: measured / 4, measured })
      world.addresses = { 4: addresses[kind], 6: "::1" }
      const transfer = await (direction === "up" ? traffic.streamsUp(1, 4) : traffic.streamsDown(1, 4))
      transfers[`${direction} ${kind}`].push(transfer)
    }
  }
}
for (const kind of kinds) await guests[kind].stop()
await world.stop()
print(transfers)
