import type { Address, Arena } from "@demiflow/core"
import type { SeededRandom } from "../seeded-random.ts"
import type { VirtualClock } from "../virtual-clock.ts"
import type { Network } from "./network.ts"
import type { SocketFaults } from "./socket-faults.ts"

/** Options of a simulated host. */
export interface SimulatedSocketsOptions {
  readonly clock: VirtualClock
  readonly arena: Arena
  /** The source of random numbers; only faults and jitter draw from it. */
  readonly random?: SeededRandom
  /** Round trip to every address in the world, milliseconds. 0 by default: everything happens at once, in order. */
  readonly rtt?: number
  /** Maximum random extra delay of a packet, milliseconds. */
  readonly jitter?: number
  /** Capacity of a TCP send buffer, payload bytes. */
  readonly sendBuffer?: number
  /**
   * The reported size of a send buffer. On Linux it includes overhead, so it is larger than the capacity by default.
   */
  readonly sendBufferSize?: number
  /** Capacity of a TCP receive buffer, payload bytes. */
  readonly receiveBuffer?: number
  /** Capacity of a datagram socket's receive buffer, payload bytes. */
  readonly datagramBuffer?: number
  /** Maximum number of open sockets; one more is refused with EMFILE. */
  readonly descriptors?: number
  /** Milliseconds after which an unanswered connection attempt fails. Linux' default by default. */
  readonly connectTimeout?: number
  /** The host's own addresses; the first of each family is where it connects from. */
  readonly addresses?: readonly (Address | string)[]
  /** True if ping sockets are refused (as by `net.ipv4.ping_group_range`). */
  readonly forbidsPing?: boolean
  /** Names of its interfaces; `eth0` and `lo` by default. Packets from outside arrive over the first. */
  readonly interfaces?: readonly string[]
  /** Connections that may wait at a listening socket; 128 by default. */
  readonly backlog?: number
  /** True if waiting datagrams of one size are received together (as with UDP_GRO). */
  readonly coalescesDatagrams?: boolean
  /** Number of its first socket, 3 by default. Two hosts of one process have numbers far apart. */
  readonly firstDescriptor?: number
  readonly faults?: Partial<SocketFaults>
  /** Pending events shared with another host of the same machine: {@link SimulatedSockets.network}. */
  readonly network?: Network
}
