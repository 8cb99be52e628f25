// npm run bench:hot: measures the functions that every packet passes through, and compares them with their limits. See
// README.md.
import { spawnSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { cpus, release } from "node:os"
import { join } from "node:path"
import colors from "picocolors"
import { better, judge, judgeFlatness, limit, unmeasured } from "./judge.mjs"

/** @typedef {import("./measure.mjs").Cost} Cost */

const groups = ["flow-table", "checksum", "tap", "tcp", "udp"]
/** Another program may have had the processor all the time: an excess counts only after this number of measurements. */
const MOST_TRIES = 3
/** Room for allocations while memory is measured, MiB: see measure.mjs. */
const NEW_SPACE = 16
const file = join(import.meta.dirname, "recorded.json")
const isRecording = process.argv.includes("--record")
/** @type {{ when: string, where: string, steps: Record<string, number> }} */
const recorded = JSON.parse(readFileSync(file, "utf8"))

/** @param {string} group @returns {Cost[]} */
function measure(group) {
  const script = join(import.meta.dirname, "measure.mjs")
  const words = ["--expose-gc", `--min-semi-space-size=${NEW_SPACE}`, script, group]
  const { status, stdout } = spawnSync(process.execPath, words, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  })
  if (status !== 0) throw new Error(`The group ${group} can't be measured`)
  return JSON.parse(stdout)
}

/** @param {readonly Cost[]} costs */
function judgeAll(costs) {
  return [...costs.flatMap((cost) => judge(cost, recorded.steps[cost.name])), ...judgeFlatness(costs)]
}

/** @param {readonly string[]} cells */
function row([name, unit, ...numbers]) {
  return name.padEnd(54) + unit.padEnd(8) + numbers.map((number) => number.padStart(9)).join("")
}

/** @param {Cost} cost */
function show(cost) {
  const { name, unit, nanoseconds, steps, bytes } = cost
  const bound = recorded.steps[name]
  const atMost = bound === undefined ? "–" : limit(bound).toFixed(1)
  const line = row([name, unit, nanoseconds.toFixed(1), steps.toFixed(1), atMost, bytes.toFixed(1)])
  return judge(cost, bound).length === 0 ? line : colors.red(line)
}

console.log(colors.bold(row(["", "for a", "ns", "steps", "at most", "bytes"])))
/** @type {string[]} */
const problems = []
/** @type {Cost[]} */
const all = []
for (const group of groups) {
  let costs = measure(group)
  for (let round = 1; round < MOST_TRIES && (isRecording || judgeAll(costs).length > 0); round++) {
    costs = better(costs, measure(group))
  }
  for (const cost of costs) console.log(show(cost))
  problems.push(...judgeAll(costs))
  all.push(...costs)
}
problems.push(...unmeasured(all, Object.keys(recorded.steps)))

if (isRecording) {
  const steps = Object.fromEntries(all.map(({ name, steps }) => [name, Number(steps.toFixed(1))]))
  const when = new Date().toISOString().slice(0, 10)
  const where = `${cpus().length} × ${cpus()[0]?.model.trim()}, Linux ${release()}, Node.js ${process.versions.node}`
  writeFileSync(file, `${JSON.stringify({ when, where, steps }, undefined, 2)}\n`)
  console.log(`\nRecorded in ${file}.`)
} else {
  for (const problem of problems) console.error(colors.red(problem))
  console.log(`\nRecorded ${recorded.when}; ${recorded.where}.`)
  console.log(problems.length === 0 ? "Nothing costs more than it may." : `${problems.length} problems.`)
  process.exitCode = problems.length === 0 ? 0 : 1
}
