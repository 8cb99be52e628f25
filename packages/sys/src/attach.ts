import { type Arena, sumBytes } from "@demiflow/core"
import { loadNative, type Native } from "./native.ts"

/** Below this, summing in JavaScript costs less than a native call's 60 ns: measured, Node 20. */
const NATIVE_SUM_FROM = 256

let attached: Arena | undefined

/** Thrown when this thread already works on another arena. */
export class ArenaAttachedError extends Error {
  readonly code = "ERR_ARENA_ATTACHED"

  constructor() {
    super("This thread's system calls already work on another arena: share that one, or use a worker thread")
    this.name = "ArenaAttachedError"
  }
}

/**
 * Makes the arena the one that this thread's system calls work on, and gives it the native checksum. Throws
 * {@link ArenaAttachedError} if another arena is attached, and `NativeUnavailableError` without the addon.
 */
export function attachArena(arena: Arena): Native {
  const native = loadNative()
  if (attached === arena) return native
  if (attached !== undefined) throw new ArenaAttachedError()
  if (native.attach(arena.buffer) < 0) throw new RangeError("An arena has at least one byte and at most 2 GiB")
  attached = arena
  arena.sum = (offset, length, initial) => {
    if (length < NATIVE_SUM_FROM) return sumBytes(arena.view, offset, length, initial)
    const sum = native.checksum(offset, length, initial)
    if (sum < 0) throw outsideArena(offset, length)
    return sum
  }
  return native
}

/** The arena that this thread's system calls work on, if any. */
export function attachedArena(): Arena | undefined {
  return attached
}

function outsideArena(offset: number, length: number): RangeError {
  return new RangeError(`${length} bytes at ${offset} are not inside the arena`)
}
