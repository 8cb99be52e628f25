import type { Address, Arena } from "@demiflow/core"
import type { SeededRandom } from "../seeded-random.ts"
import type { VirtualClock } from "../virtual-clock.ts"
import type { HostFaults } from "./simulated-kernel.ts"

/** How a simulated host is made. */
export interface SimulatedHostOptions {
  readonly clock: VirtualClock
  readonly arena: Arena
  /** Where chance comes from; only faults and jitter draw from it. */
  readonly random?: SeededRandom
  /** Round trip to everybody in the world, milliseconds. 0 by default: everything happens at once, in order. */
  readonly rtt?: number
  /** Milliseconds that each packet may take longer, by chance. */
  readonly jitter?: number
  /** Payload bytes that a TCP send buffer takes. */
  readonly sendBuffer?: number
  /** What is reported as a send buffer's size, which on Linux counts overhead as well: more than fits by default. */
  readonly sendBufferSize?: number
  /** Payload bytes that a TCP receive buffer takes. */
  readonly receiveBuffer?: number
  /** Payload bytes that a datagram socket's receive buffer takes. */
  readonly datagramBuffer?: number
  /** Sockets that may be open at once; one more is refused with EMFILE. */
  readonly descriptors?: number
  /** Milliseconds after which a connection that nobody answers fails. Linux' default by default. */
  readonly connectTimeout?: number
  /** The host's own addresses; the first of each family is where it connects from. */
  readonly addresses?: readonly (Address | string)[]
  /** True if ping sockets are refused (as by `net.ipv4.ping_group_range`). */
  readonly forbidsPing?: boolean
  /** Names of its interfaces; `eth0` and `lo` by default. What arrives from outside arrives over the first. */
  readonly interfaces?: readonly string[]
  /** Connections that may wait at a listening socket; 128 by default. */
  readonly backlog?: number
  /** True if equal datagrams that wait are handed over together (as with UDP_GRO). */
  readonly coalescesDatagrams?: boolean
  /** Number of its first socket, 3 by default. Two hosts of one process have numbers far apart. */
  readonly firstDescriptor?: number
  readonly faults?: Partial<HostFaults>
}
