/**
 * Payload from the guest that is ahead of what is expected: kept until what is missing has come, so that one lost or late
 * segment costs the guest one segment, and not all that it has sent since.
 *
 * What is kept are a few islands, each a run of payload without a gap, in the pool that also holds what sockets didn't take.
 * It is a courtesy: the guest learns nothing of it but duplicate acknowledgements, keeps it all itself, and sends it again
 * if it isn't kept. So there is a limit to the islands, and they get nothing when the pool runs low.
 */
import type { TcpConnection } from "./connection.ts"
import type { TcpContext } from "./context.ts"
import type { Held } from "./hold-pool.ts"
import type { Segment } from "./segment.ts"
import { distance } from "./sequence-number.ts"
import type { ToHost } from "./to-host.ts"

/** Islands of a connection at most. */
const ISLAND_LIMIT = 8

/** A run of payload that is ahead. */
export interface Island extends Held {
  /** Sequence number of its first byte. */
  start: number
}

export class OutOfOrder {
  readonly #context: TcpContext
  readonly #toHost: ToHost

  constructor(context: TcpContext, toHost: ToHost) {
    this.#context = context
    this.#toHost = toHost
  }

  /** Keeps the payload of a segment that is ahead; false if there is no room, or its beginning is there already. */
  keep(connection: TcpConnection, segment: Segment): boolean {
    const { pool, options } = this.#context
    const { sequence, length, payloadOffset } = segment
    if (length === 0 || pool.free < options.holdPoolSize >> 1) return false
    if (distance((sequence + length) | 0, connection.windowEdgeToTap) < 0) return false
    connection.islands ??= []
    const { islands } = connection
    for (let index = 0; index < islands.length; index++) {
      const island = islands[index]
      const ahead = distance(island.start, sequence)
      if (ahead === island.heldBytes) {
        return pool.keep(island, payloadOffset, length) > 0
      }
      if (ahead >= 0 && ahead < island.heldBytes) return false
    }
    if (islands.length === ISLAND_LIMIT) return false
    const island: Island = { start: sequence, heldBytes: 0, heldFirst: -1, heldLast: -1, heldStart: 0 }
    if (pool.keep(island, payloadOffset, length) === 0) return false
    islands.push(island)
    return true
  }

  /** Hands over what is not ahead any more. */
  deliver(connection: TcpConnection, islands: Island[]): void {
    const { pool, gathered } = this.#context
    for (let index = 0; index < islands.length; index++) {
      const island = islands[index]
      const overlap = distance(island.start, connection.seqFromTap)
      if (overlap < 0) continue
      islands.splice(index, 1)
      if (overlap < island.heldBytes) {
        pool.drop(island, overlap)
        const count = pool.fill(island, gathered)
        let bytes = 0
        for (let vector = 0; vector < count; vector++) bytes += gathered.lengthAt(vector)
        this.#toHost.accept(connection, count, bytes)
      }
      pool.clear(island)
      if (connection.flow < 0) return
      this.#toHost.acknowledge(connection, true)
      // Others may be reached now.
      index = -1
    }
  }
}
