import { type Components, DatagramBatch, type Demiflow, type Drops, Errno, type Host } from "@demiflow/core"
import type { ErrorRelay } from "./error-relay.ts"
import type { UdpReasons } from "./reasons.ts"
import type { UdpFlow } from "./state.ts"

/** Entries handed to the host in one call. */
const BATCH_SIZE = 64

/**
 * Sends what a sequence holds: one call for many datagrams, which are sent from where they arrived. Packets that an offload
 * of the guest left together go on as they are, and the host's kernel or device cuts them.
 */
export class ToHost {
  readonly #host: Host
  readonly #drops: Drops
  readonly #reasons: UdpReasons
  readonly #errors: ErrorRelay
  readonly #batch = new DatagramBatch(BATCH_SIZE)

  constructor(components: Components, reasons: UdpReasons, errors: ErrorRelay) {
    this.#host = components.host
    this.#drops = components.drops
    this.#reasons = reasons
    this.#errors = errors
  }

  /** Adds a datagram to what {@link ToHost.flush} sends, sending what was added before if it is time for that. */
  add(flow: UdpFlow, tap: Demiflow, offset: number, length: number, segmentSize: number, hopLimit: number): void {
    if (hopLimit !== flow.hopLimit) {
      this.flush(flow, tap)
      this.#host.setHopLimit(flow.socket, flow.isHostV4, hopLimit)
      flow.hopLimit = hopLimit
    }
    const isTogether = segmentSize > 0 && segmentSize < length
    flow.lastLength = isTogether ? segmentSize : length
    const batch = this.#batch
    batch.offset[batch.count] = offset
    batch.length[batch.count] = length
    batch.segmentSize[batch.count] = isTogether ? segmentSize : 0
    if (++batch.count === BATCH_SIZE) this.flush(flow, tap)
  }

  /** Sends what was added. */
  flush(flow: UdpFlow, tap: Demiflow): void {
    if (this.#batch.count > 0) this.#send(flow, tap)
  }

  #send(flow: UdpFlow, tap: Demiflow): void {
    const batch = this.#batch
    let first = 0
    let isRepeated = false
    while (first < batch.count) {
      const sent = this.#host.sendDatagrams(flow.socket, batch, first, batch.count - first)
      if (sent > 0) {
        first += sent
        isRepeated = false
        continue
      }
      if (sent === 0 || sent === -Errno.EAGAIN) {
        this.#drops.count(this.#reasons.sendQueueFull, batch.count - first)
        break
      }
      // An error that an earlier datagram met is told here too, and only once: so the datagram gets a second chance.
      if (!isRepeated && sent !== -Errno.ENOBUFS) {
        isRepeated = true
        this.#errors.drain(flow)
        continue
      }
      isRepeated = false
      this.#refused(tap, first++, -sent)
    }
    batch.count = 0
  }

  #refused(tap: Demiflow, index: number, errno: number): void {
    if (errno === Errno.ENOBUFS) {
      this.#drops.count(this.#reasons.sendQueueFull)
      return
    }
    this.#drops.count(this.#reasons.sendFailed)
    const { offset, length, segmentSize } = this.#batch
    this.#errors.refuse(tap, errno, offset[index], segmentSize[index] || length[index])
  }
}
