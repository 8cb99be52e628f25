import type { Address, Arena, LocalPath } from "@demiflow/core"
import type { SeededRandom } from "../seeded-random.ts"
import type { VirtualClock } from "../virtual-clock.ts"
import { SimulatedHost } from "./simulated-host.ts"
import type { SimulatedHostOptions } from "./simulated-host-options.ts"
import { SimulatedPipes, type SimulatedPipesOptions } from "./simulated-pipes.ts"

/** How the local path of a stack in memory is made. */
export interface SimulatedLocalPathOptions {
  /** The namespace; it has the guest's addresses by default, which come as fast as the host's own. */
  readonly namespace?: Omit<SimulatedHostOptions, "clock" | "arena" | "firstDescriptor">
  readonly pipes?: SimulatedPipesOptions
}

/** What a local path is put between. */
export interface LocalPathSurroundings {
  readonly clock: VirtualClock
  readonly arena: Arena
  readonly random: SeededRandom
  readonly host: SimulatedHost
  /** The guest's. */
  readonly addresses: readonly Address[]
}

/** Numbers of the namespace's sockets: none of them is one of the host's, so that a socket taken to the wrong one is found. */
const FIRST_DESCRIPTOR = 1 << 24

/**
 * A guest's namespace as a second simulated host, whose world are the programs in there: what the guest runs, at the level
 * of sockets.
 */
export class SimulatedLocalPath implements LocalPath {
  readonly host: SimulatedHost
  readonly pipes: SimulatedPipes

  constructor({ clock, arena, random, host, addresses }: LocalPathSurroundings, options: SimulatedLocalPathOptions) {
    this.host = new SimulatedHost({
      random: random.fork(),
      // What is local goes by a global address where there is one.
      addresses: [...addresses].sort((one, other) => Number(one.isLinkLocal) - Number(other.isLinkLocal)),
      ...options.namespace,
      clock,
      arena,
      firstDescriptor: FIRST_DESCRIPTOR,
    })
    this.pipes = new SimulatedPipes([host, this.host], random.fork(), options.pipes)
  }

  /** What is left behind in the namespace, its listeners aside, and of pipes. */
  leftovers(): string[] {
    const { host, pipes } = this
    const found = [...host.violations, ...pipes.violations]
    const sockets = host.openSockets - host.listeningSockets
    if (sockets > 0) found.push(`${sockets} sockets are open in the namespace`)
    // Empty ones may be kept for the next connection.
    if (pipes.usedPipes > 0) found.push(`${pipes.usedPipes} pipes have something in them`)
    return found
  }
}
