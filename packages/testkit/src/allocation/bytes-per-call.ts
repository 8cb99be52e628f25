/**
 * Measures the allocations of a data path, to assert that there are none.
 *
 * The slowest packet waits for the garbage collector. The measurement runs without a collection in between, so every
 * object counts, however soon it dies.
 */

/** Measures the heap: in Node.js with `process.memoryUsage().heapUsed`, and `gc`, which `--expose-gc` provides. */
export interface Heap {
  /** Bytes in use, including dead objects. */
  used(): number
  /** Frees dead objects. */
  collect(): void
}

/** Enough calls that single events don't count, and few enough that small objects cause no collection. */
const CALLS = 6_000
const ATTEMPTS = 40
/** The smallest object has 16 bytes. This limit is one object in sixteen calls, which single events may reach. */
const NOTHING = 1

/**
 * Returns the bytes of heap that a call takes: less than 1 if it allocates nothing. The function is called some ten
 * thousand times, because code that isn't optimised allocates numbers. Infinity if every measurement had a collection.
 */
export function bytesPerCall(heap: Heap, call: () => void): number {
  const run = () => {
    for (let count = 0; count < CALLS; count++) call()
  }
  run()
  let best = Number.POSITIVE_INFINITY
  for (let attempt = 0; attempt < ATTEMPTS && best >= NOTHING; attempt++) {
    heap.collect()
    // A collection may undo optimisations.
    run()
    const before = heap.used()
    run()
    const grown = heap.used() - before
    // The heap is smaller than before: there was a collection.
    if (grown >= 0) best = Math.min(best, grown / CALLS)
  }
  return best
}
