import { type Components, type DropReason, type Drops, ErrorOrigin, emptySocketError } from "@demiflow/core"
import type { SplicedSide } from "./spliced-flow.ts"

/** Entries of one socket's error queue that are taken at a time. */
const QUEUE_BUDGET = 1024

/**
 * Empties the error queues of spliced flows' sockets. Nobody can hear of what stands there: a socket has no way to report to
 * its correspondent that nobody listens at the other end. Each is a datagram that wasn't delivered, and is counted.
 */
export class ReportedErrors {
  readonly #drops: Drops
  readonly #notDelivered: DropReason
  readonly #entry = emptySocketError()

  /** @param notDelivered counted for each datagram that something was reported about */
  constructor(components: Components, notDelivered: DropReason) {
    this.#drops = components.drops
    this.#notDelivered = notDelivered
  }

  /** Takes what a socket's queue holds, and answers how many entries others than the host had reported. */
  drain(side: SplicedSide): number {
    let reported = 0
    for (let taken = 0; taken < QUEUE_BUDGET; taken++) {
      if (side.host.receiveError(side.socket, this.#entry) <= 0) break
      // The host's own errors are answers of calls, and counted there.
      if (this.#entry.origin === ErrorOrigin.host) continue
      this.#drops.count(this.#notDelivered)
      reported++
    }
    return reported
  }
}
