import { type Arena, Errno, type Socket } from "@demiflow/core"
import { SeededRandom } from "../seeded-random.ts"
import type { VirtualClock } from "../virtual-clock.ts"
import { Bindings } from "./bindings.ts"
import { Network } from "./network.ts"
import { SimulatedKernel } from "./simulated-kernel.ts"
import type { SimulatedSocket } from "./simulated-socket.ts"
import type { SimulatedSocketsOptions } from "./simulated-sockets-options.ts"
import { NO_SOCKET_FAULTS } from "./socket-faults.ts"
import { SocketTable } from "./socket-table.ts"
import { toAddress } from "./world.ts"

export const EBADF = 9
/** Returned when every descriptor that the host may have is taken. */
export const NO_DESCRIPTORS = -Errno.EMFILE as Socket

/** State that the calls of a simulated host share for all kinds of sockets. */
export class HostParts {
  readonly options: SimulatedSocketsOptions
  readonly arena: Arena
  readonly clock: VirtualClock
  readonly kernel: SimulatedKernel
  readonly network: Network
  readonly sockets: SocketTable
  readonly bindings: Bindings
  /** Sockets opened so far for flows. */
  opened = 0

  constructor(options: SimulatedSocketsOptions) {
    const random = options.random ?? new SeededRandom(1)
    this.options = options
    this.arena = options.arena
    this.clock = options.clock
    this.network = options.network ?? new Network(options.clock)
    const faults = { ...NO_SOCKET_FAULTS, ...options.faults }
    this.kernel = new SimulatedKernel(options.clock, random, faults, this.network)
    const addresses = (options.addresses ?? ["192.0.2.1", "2001:db8::1"]).map(toAddress)
    this.sockets = new SocketTable(this.called, options.descriptors, options.firstDescriptor)
    this.bindings = new Bindings(this.sockets.open, addresses, options.interfaces ?? ["eth0", "lo"])
  }

  /** Round trip to every address in the world, milliseconds. */
  get rtt(): number {
    return this.options.rtt ?? 0
  }

  /** To be called before each call: lets the world act first. */
  readonly called = (): void => this.network.call(this.kernel.random, this.kernel.faults)

  /** Draws a packet's delay to the other end, milliseconds: half a round trip, and random jitter. */
  readonly delay = (): number => this.rtt / 2 + this.kernel.random.below((this.options.jitter ?? 0) + 1)

  /** Adds the socket to the host's. */
  open(socket: SimulatedSocket): Socket {
    if (socket.side >= 0) this.opened++
    this.sockets.open.set(socket.descriptor, socket)
    this.kernel.list(socket)
    return socket.descriptor
  }
}
