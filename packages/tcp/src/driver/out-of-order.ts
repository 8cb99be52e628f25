/**
 * Out-of-order payload from the guest. It is kept until the missing segment has come, so that one lost or late segment
 * costs the guest one segment, and not everything that it has sent since.
 *
 * A connection keeps a few islands, each a contiguous run of payload, in the pool that also holds what sockets didn't
 * take. This is a courtesy: the guest only sees duplicate acknowledgements, keeps everything itself, and sends it again
 * if we don't keep it. So the number of islands is limited, and they get no space when the pool runs low.
 */

import type { Vectors } from "@demiflow/core"
import { distance } from "../connection/sequence-number.ts"
import type { TcpContext } from "./context.ts"
import type { ReceivedSegment } from "./received-segment.ts"
import type { Island, TcpConnection } from "./tcp-connection.ts"
import type { ToHost } from "./to-host.ts"

/** Maximum number of islands of a connection. */
const ISLAND_LIMIT = 8

export class OutOfOrder {
  readonly #context: TcpContext
  readonly #toHost: ToHost

  constructor(context: TcpContext, toHost: ToHost) {
    this.#context = context
    this.#toHost = toHost
  }

  /**
   * Keeps the payload of an out-of-order segment. Returns false if there is no room, or its beginning is kept already.
   */
  keep(connection: TcpConnection, segment: ReceivedSegment): boolean {
    const { pool, options } = this.#context
    const { sequence, length, payloadOffset } = segment
    if (length === 0 || pool.free < options.holdPoolSize >> 1) return false
    if (distance((sequence + length) | 0, connection.receiver.windowEdgeToGuest) < 0) return false
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

  /** Hands over the islands that are in order now, by vectors that are free. */
  deliver(connection: TcpConnection, islands: Island[], vectors: Vectors): void {
    const { pool } = this.#context
    for (let index = 0; index < islands.length; index++) {
      const island = islands[index]
      const overlap = distance(island.start, connection.receiver.seqFromGuest)
      if (overlap < 0) continue
      islands.splice(index, 1)
      if (overlap < island.heldBytes) {
        pool.drop(island, overlap)
        const count = pool.fill(island, vectors)
        let bytes = 0
        for (let vector = 0; vector < count; vector++) bytes += vectors.lengthAt(vector)
        this.#toHost.accept(connection, vectors, count, bytes)
      }
      pool.clear(island)
      if (connection.flow < 0) return
      this.#toHost.acknowledge(connection, true)
      // Further islands may be in order now.
      index = -1
    }
  }
}
