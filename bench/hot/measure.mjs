// node --expose-gc bench/hot/measure.mjs GROUP: measures the functions of one group, and prints their costs as JSON.
// Each group has a process of its own, so that the compiler's profile of one doesn't affect another.
import { performance } from "node:perf_hooks"

/**
 * @typedef {object} HotFunction
 * @property {string} name
 * @property {string} unit The unit of the cost: a packet, a segment, a KiB …
 * @property {number} units Units that one call of `work` does.
 * @property {() => number} work Returns a value that depends on all its work, so that the compiler can't omit any.
 */

/**
 * @typedef {object} Cost
 * @property {string} name
 * @property {string} unit
 * @property {number} nanoseconds For a unit.
 * @property {number} steps The same in steps of the reference loop, measured in the same moments.
 * @property {number} bytes Memory allocated by one call of `work`.
 */

const WARM_MILLISECONDS = 100
const MEASURED_MILLISECONDS = 200
/** Short enough that many slices pass without an interrupt. */
const SLICE_MILLISECONDS = 0.05
const REFERENCE_STEPS = 10_000
/** Enough calls that single events don't count, and few enough that no collection comes in between. */
const ALLOCATION_CALLS = 1_000
const ALLOCATION_ATTEMPTS = 8
/** The minimum allocation before a collection: the room that main.mjs provides. */
const COLLECTED_BYTES = 16 << 20

/** Consumes the results. */
let sink = 0

/** The reference loop: steps of xorshift32 (Marsaglia), each of which depends on the one before. */
function reference() {
  let word = sink | 1
  for (let step = 0; step < REFERENCE_STEPS; step++) {
    word ^= word << 13
    word ^= word >>> 17
    word ^= word << 5
  }
  sink ^= word
}

/** @param {() => number} work @param {number} calls */
function run(work, calls) {
  for (let call = 0; call < calls; call++) sink ^= work()
}

/** @param {() => number} work @returns Calls that make up a slice. */
function warmUp(work) {
  const end = performance.now() + WARM_MILLISECONDS
  let calls = 1
  for (let now = performance.now(); now < end; ) {
    reference()
    const start = performance.now()
    run(work, calls)
    now = performance.now()
    const wanted = (calls * SLICE_MILLISECONDS) / Math.max(now - start, 0.001)
    calls = Math.max(1, Math.round(Math.min(wanted, calls * 2)))
  }
  return calls
}

/**
 * Runs slices of work and of the reference loop in turn, and takes the shortest of each: the machine's speed and other
 * work cancel out.
 * @param {HotFunction} hot
 */
function time({ work, units }) {
  const calls = warmUp(work)
  const end = performance.now() + MEASURED_MILLISECONDS
  let shortest = Number.POSITIVE_INFINITY
  let shortestReference = Number.POSITIVE_INFINITY
  for (let now = performance.now(); now < end; ) {
    reference()
    const between = performance.now()
    shortestReference = Math.min(shortestReference, between - now)
    run(work, calls)
    now = performance.now()
    shortest = Math.min(shortest, now - between)
  }
  const unit = shortest / calls / units
  return { nanoseconds: unit * 1e6, steps: unit / (shortestReference / REFERENCE_STEPS) }
}

/**
 * @param {() => number} work @param {number} calls @returns Bytes that the heap grew by; negative after a collection.
 */
function growth(work, calls) {
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  run(work, calls)
  return process.memoryUsage().heapUsed - before
}

/**
 * Without a collection in between, every object counts, however soon it dies. Attempts without calls measure the
 * overhead of the measurement. The smallest counts, because an overhead that is too large would hide allocations. Code
 * that isn't optimised yet, or no longer after a collection, allocates numbers. So the best of a few attempts counts,
 * with time for optimisation before each.
 * @param {() => number} work
 */
function allocated(work) {
  let own = COLLECTED_BYTES
  for (let attempt = 0; attempt < ALLOCATION_ATTEMPTS; attempt++) {
    const none = growth(work, 0)
    if (none >= 0) own = Math.min(own, none)
  }
  let least = COLLECTED_BYTES
  for (let attempt = 0; attempt < ALLOCATION_ATTEMPTS && least > 0; attempt++) {
    if (attempt > 0) warmUp(work)
    const all = growth(work, ALLOCATION_CALLS)
    if (all >= 0) least = Math.min(least, Math.max(all - own, 0))
  }
  return least / ALLOCATION_CALLS
}

if (globalThis.gc === undefined) throw new Error("Give node the option --expose-gc")
/** @type {{ functions(): HotFunction[] }} */
const group = await import(`./groups/${process.argv[2]}.mjs`)
/** @type {Cost[]} */
const costs = group.functions().map((hot) => {
  const { nanoseconds, steps } = time(hot)
  return { name: hot.name, unit: hot.unit, nanoseconds, steps, bytes: allocated(hot.work) }
})
process.stdout.write(JSON.stringify(costs))
