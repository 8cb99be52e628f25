import type { Address, Arena, LocalPath } from "@demiflow/core"
import type { SeededRandom } from "../seeded-random.ts"
import type { VirtualClock } from "../virtual-clock.ts"
import { SimulatedPipes, type SimulatedPipesOptions } from "./simulated-pipes.ts"
import { SimulatedSockets } from "./simulated-sockets.ts"
import type { SimulatedSocketsOptions } from "./simulated-sockets-options.ts"

/** Options of the local path of a stack in memory. */
export interface SimulatedLocalPathOptions {
  /** The namespace; by default it has the guest's addresses. */
  readonly namespace?: Omit<SimulatedSocketsOptions, "clock" | "arena" | "network" | "firstDescriptor">
  readonly pipes?: SimulatedPipesOptions
}

/** The parts that a local path connects. */
export interface LocalPathSurroundings {
  readonly clock: VirtualClock
  readonly arena: Arena
  readonly random: SeededRandom
  readonly sockets: SimulatedSockets
  /** The guest's. */
  readonly addresses: readonly Address[]
}

/**
 * First number of the namespace's sockets. They differ from the host's, so that a socket used with the wrong one is
 * found.
 */
const FIRST_DESCRIPTOR = 1 << 24

/**
 * A guest's namespace as a second simulated host. Its world is the programs that the guest runs, at the level
 * of sockets.
 */
export class SimulatedLocalPath implements LocalPath {
  readonly sockets: SimulatedSockets
  readonly pipes: SimulatedPipes

  constructor({ clock, arena, random, sockets, addresses }: LocalPathSurroundings, options: SimulatedLocalPathOptions) {
    this.sockets = new SimulatedSockets({
      random: random.fork(),
      // Local connections use a global address where there is one.
      addresses: [...addresses].sort((one, other) => Number(one.isLinkLocal) - Number(other.isLinkLocal)),
      ...options.namespace,
      clock,
      arena,
      network: sockets.network,
      firstDescriptor: FIRST_DESCRIPTOR,
    })
    this.pipes = new SimulatedPipes([sockets, this.sockets], random.fork(), options.pipes)
  }

  /** Leftovers in the namespace, except listeners, and of pipes. */
  leftovers(): string[] {
    const { sockets, pipes } = this
    const found = [...sockets.violations, ...pipes.violations]
    const open = sockets.openSockets - sockets.listeningSockets
    if (open > 0) found.push(`${open} sockets are open in the namespace`)
    // Empty pipes may be kept for the next connection.
    if (pipes.usedPipes > 0) found.push(`${pipes.usedPipes} pipes have something in them`)
    return found
  }
}
