import { type Arena, Errno, type Socket } from "@demiflow/core"
import { SeededRandom } from "../seeded-random.ts"
import type { VirtualClock } from "../virtual-clock.ts"
import { Bindings } from "./bindings.ts"
import { Network } from "./network.ts"
import type { SimulatedHostOptions } from "./simulated-host-options.ts"
import { NO_HOST_FAULTS, SimulatedKernel } from "./simulated-kernel.ts"
import type { SimulatedSocket } from "./simulated-socket.ts"
import { SocketTable } from "./socket-table.ts"
import { toAddress } from "./world.ts"

export const EBADF = 9
/** Every descriptor that the host may have is taken. */
export const NO_DESCRIPTORS = -Errno.EMFILE as Socket

/** What the calls of a simulated host share, whichever kind of socket they are for. */
export class HostParts {
  readonly options: SimulatedHostOptions
  readonly arena: Arena
  readonly clock: VirtualClock
  readonly kernel: SimulatedKernel
  readonly network: Network
  readonly sockets: SocketTable
  readonly bindings: Bindings
  /** Sockets opened so far for flows. */
  opened = 0

  constructor(options: SimulatedHostOptions) {
    const random = options.random ?? new SeededRandom(1)
    this.options = options
    this.arena = options.arena
    this.clock = options.clock
    this.kernel = new SimulatedKernel(options.clock, random, { ...NO_HOST_FAULTS, ...options.faults })
    const addresses = (options.addresses ?? ["192.0.2.1", "2001:db8::1"]).map(toAddress)
    this.network = new Network(options.clock, random, this.kernel.faults.betweenCalls)
    this.sockets = new SocketTable(() => this.network.call(), options.descriptors, options.firstDescriptor)
    this.bindings = new Bindings(this.sockets.open, addresses, options.interfaces ?? ["eth0", "lo"])
  }

  /** Round trip to everybody in the world, milliseconds. */
  get rtt(): number {
    return this.options.rtt ?? 0
  }

  /** Draws how long a packet takes to the other end, milliseconds: half a round trip, and what chance adds. */
  readonly delay = (): number => this.rtt / 2 + this.kernel.random.below((this.options.jitter ?? 0) + 1)

  /** The socket is one of the host's from now on. */
  open(socket: SimulatedSocket): Socket {
    if (socket.side >= 0) this.opened++
    this.sockets.open.set(socket.descriptor, socket)
    this.kernel.list(socket)
    return socket.descriptor
  }
}
