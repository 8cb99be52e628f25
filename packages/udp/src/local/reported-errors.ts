import { type Components, type DropReason, type Drops, ErrorOrigin, emptySocketError } from "@demiflow/core"
import type { SplicedSide } from "./spliced-flow.ts"

/** Maximum number of entries that are read from one socket's error queue at a time. */
const QUEUE_BUDGET = 1024

/**
 * Empties the error queues of spliced flows' sockets. The errors can't be reported: a socket has no way to report to
 * its correspondent that nobody listens at the other end. Each error is a datagram that wasn't delivered, and is
 * counted.
 */
export class ReportedErrors {
  readonly #drops: Drops
  readonly #notDelivered: DropReason
  readonly #entry = emptySocketError()

  /** @param notDelivered counted for each datagram that an error was reported about */
  constructor(components: Components, notDelivered: DropReason) {
    this.#drops = components.drops
    this.#notDelivered = notDelivered
  }

  /** Empties a socket's error queue. Returns the number of errors that were reported by other nodes than the host. */
  drain(side: SplicedSide): number {
    let reported = 0
    for (let taken = 0; taken < QUEUE_BUDGET; taken++) {
      if (side.sockets.receiveError(side.socket, this.#entry) <= 0) break
      // The host's own errors are also results of calls, and are counted there.
      if (this.#entry.origin === ErrorOrigin.host) continue
      this.#drops.count(this.#notDelivered)
      reported++
    }
    return reported
  }
}
