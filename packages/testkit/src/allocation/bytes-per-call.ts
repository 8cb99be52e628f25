/**
 * What a data path allocates, counted: to assert that it is nothing.
 *
 * A garbage collector's pause is what the slowest packet waits for. Without a collection in between, every object counts,
 * however soon it dies.
 */

/** What measures the heap: in Node.js `process.memoryUsage().heapUsed`, and `gc`, which `--expose-gc` brings. */
export interface Heap {
  /** Bytes in use, those of dead objects included. */
  used(): number
  /** Frees what is dead. */
  collect(): void
}

/** So many that what happens once doesn't count, and so few that small objects bring no collection. */
const CALLS = 6_000
const ATTEMPTS = 6
/** The smallest object has 16 bytes: this is one in sixteen calls, which something that happens once may come to. */
const NOTHING = 1

/**
 * Bytes of heap that a call takes: less than 1 if it allocates nothing. It is called some ten thousand times, because code
 * that isn't optimised allocates numbers. Infinity if there was a collection whenever it was measured.
 */
export function bytesPerCall(heap: Heap, call: () => void): number {
  const run = () => {
    for (let count = 0; count < CALLS; count++) call()
  }
  run()
  let best = Number.POSITIVE_INFINITY
  for (let attempt = 0; attempt < ATTEMPTS && best >= NOTHING; attempt++) {
    heap.collect()
    // A collection may undo what was optimised.
    run()
    const before = heap.used()
    run()
    const grown = heap.used() - before
    // Less than before: there was a collection.
    if (grown >= 0) best = Math.min(best, grown / CALLS)
  }
  return best
}
