/**
 * What all gateways of a thread share, when their sockets are those of `@demiflow/sys`: arena, loop, and shares of the
 * descriptors.
 *
 * A thread works on one arena for its life, so the arena stays when the last gateway has gone, and the next one uses it
 * again. The loop runs while there are gateways. With the last one it stops, so that the process can end.
 */
import { Arena } from "@demiflow/core"
import type { DescriptorShares, EventLoop, Native } from "@demiflow/sys"
import { GatewayError } from "./gateway-error.ts"

export type Sys = typeof import("@demiflow/sys")
type NodeSocketsPackage = typeof import("@demiflow/node-sockets")

/** The parts, until they are given back. */
export interface ThreadHost {
  readonly sys: Sys
  readonly native: Native
  /** The arena of the thread. */
  readonly arena: Arena
  readonly loop: EventLoop
  readonly shares: DescriptorShares
}

/** For the loop's own tables. */
const LOOP_BYTES = 4_096
/** Addresses, not memory: the kernel provides what is in use. As much as a thread may have. */
const LARGEST_ARENA = (1 << 30) * 2 - (1 << 20)
const SMALLEST_ARENA = 32 << 20

let current: ThreadHost | undefined
let users = 0

/**
 * Loads `@demiflow/sys`. Throws a `GatewayError` with the code `ERR_GATEWAY_SOCKETS` where that isn't possible, before
 * anything of it runs.
 */
export async function loadSys(): Promise<Sys> {
  const { process } = globalThis
  const runtime = process?.versions?.bun !== undefined ? "Bun" : "Deno" in globalThis ? "Deno" : undefined
  if (runtime !== undefined) throw unavailable(`@demiflow/sys doesn't run under ${runtime}`)
  if (process?.platform !== "linux") throw unavailable("@demiflow/sys needs Node.js on Linux")
  try {
    const sys = await import("@demiflow/sys")
    sys.loadNative()
    return sys
  } catch (cause) {
    throw unavailable(cause instanceof Error ? cause.message : String(cause), cause)
  }
}

/** Loads `@demiflow/node-sockets`. Throws a `GatewayError` where there is no `node:net`. */
export async function loadNodeSockets(): Promise<NodeSocketsPackage> {
  let loaded: Partial<NodeSocketsPackage>
  try {
    loaded = await import("@demiflow/node-sockets")
  } catch (cause) {
    throw unavailable(cause instanceof Error ? cause.message : String(cause), cause)
  }
  // A bundle for a page has an empty package in its place: `browser` in package.json.
  if (loaded.NodeSockets === undefined) throw unavailable("a page has none of its own")
  return loaded as NodeSocketsPackage
}

/**
 * Starts the loop of the thread, or joins those who use it. Each call needs a {@link releaseHost}.
 *
 * @param offered the arena of a link, for a thread that has none
 */
export function acquireHost(sys: Sys, offered: Arena | undefined): ThreadHost {
  if (current === undefined) {
    current = open(sys, offered)
    users = 0
  }
  users++
  return current
}

/** Gives the loop back. It stops soon after the last one, unless somebody joins before. */
export function releaseHost(host: ThreadHost): void {
  // One whose loop has failed is not the current one any more.
  if (host !== current || --users > 0) return
  // A loop is closed only when the runtime has its turn: a new one for each gateway would be too many.
  setImmediate(() => {
    if (host !== current || users > 0) return
    current = undefined
    host.loop.stop()
  })
}

/** The arena of the thread: the one that its system calls work on already, or the one offered, or a new one. */
function open(sys: Sys, offered: Arena | undefined): ThreadHost {
  const arena = sys.attachedArena() ?? offered ?? largestArena()
  const native = sys.attachArena(arena)
  const part = arena.part(LOOP_BYTES, "the event loop of gateways")
  const loop = new sys.EventLoop(native, part)
  loop.clock.advance()
  const close = (): void => {
    loop.close()
    arena.giveBack(part)
  }
  loop.run().then(close, (error: unknown) => {
    close()
    if (current?.loop === loop) current = undefined
    throw error
  })
  return { sys, native, arena, loop, shares: new sys.DescriptorShares(native, sys.descriptorLimit()) }
}

/** Where addresses are limited, as much as there is. */
function largestArena(): Arena {
  for (let size = LARGEST_ARENA; size >= SMALLEST_ARENA; size = Math.floor(size / 2) & -64) {
    try {
      return new Arena(size)
    } catch {
      // Half of it, then.
    }
  }
  throw unavailable(`this process can't have ${SMALLEST_ARENA >> 20} MiB of memory`)
}

function unavailable(reason: string, cause?: unknown): GatewayError {
  const message = `There are no sockets for a gateway here (${reason}): pass sockets and loop`
  return new GatewayError("ERR_GATEWAY_SOCKETS", message, cause === undefined ? {} : { cause })
}
