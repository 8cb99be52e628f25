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
  /** For the pieces of an entry that the host can't cut. */
  readonly #pieces = new DatagramBatch(BATCH_SIZE)

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
    const batch = this.#batch
    if (batch.count > 0) this.#send(flow, tap, batch)
  }

  #send(flow: UdpFlow, tap: Demiflow, batch: DatagramBatch): void {
    let first = 0
    let isRepeated = false
    while (first < batch.count) {
      const size = batch.segmentSize[first]
      if (size >= flow.uncuttableSize) {
        this.#sendPieces(flow, tap, batch.offset[first], batch.length[first], size)
        first++
        continue
      }
      const sent = this.#host.sendDatagrams(flow.socket, batch, first, this.#runLength(flow, batch, first))
      if (sent > 0) {
        first += sent
        isRepeated = false
        continue
      }
      const errno = sent === 0 ? Errno.EAGAIN : -sent
      if (errno === Errno.EAGAIN) {
        this.#drops.count(this.#reasons.sendQueueFull, batch.count - first)
        break
      }
      // An error that an earlier datagram met is told here too, and only once: so the datagram gets a second chance.
      if (!isRepeated && errno !== Errno.ENOBUFS) {
        isRepeated = true
        this.#errors.drain(flow)
        continue
      }
      isRepeated = false
      this.#refused(flow, tap, batch, first, errno)
      first++
    }
    batch.count = 0
  }

  /** Entries from `first` on that can go in one call. */
  #runLength(flow: UdpFlow, batch: DatagramBatch, first: number): number {
    let end = first + 1
    while (end < batch.count && batch.segmentSize[end] < flow.uncuttableSize) end++
    return end - first
  }

  #refused(flow: UdpFlow, tap: Demiflow, batch: DatagramBatch, index: number, errno: number): void {
    const offset = batch.offset[index]
    const length = batch.length[index]
    const size = batch.segmentSize[index]
    if (size > 0 && cannotCut(errno)) {
      // EINVAL may be about the number of pieces, so it says nothing about the next ones.
      if (errno === Errno.EMSGSIZE) flow.uncuttableSize = Math.min(flow.uncuttableSize, size)
      this.#sendPieces(flow, tap, offset, length, size)
    } else if (errno === Errno.ENOBUFS) {
      this.#drops.count(this.#reasons.sendQueueFull)
    } else {
      this.#drops.count(this.#reasons.sendFailed)
      this.#errors.refuse(tap, errno, offset, length)
    }
  }

  #sendPieces(flow: UdpFlow, tap: Demiflow, offset: number, length: number, size: number): void {
    const pieces = this.#pieces
    for (let done = 0; done < length; done += size) {
      pieces.offset[pieces.count] = offset + done
      pieces.length[pieces.count] = Math.min(size, length - done)
      pieces.segmentSize[pieces.count] = 0
      if (++pieces.count === BATCH_SIZE) this.#send(flow, tap, pieces)
    }
    if (pieces.count > 0) this.#send(flow, tap, pieces)
  }
}

/**
 * Linux' answers where a datagram can't be cut: pieces above the path MTU (EMSGSIZE, before 6.2 EINVAL), too many of
 * them (EINVAL), no way to compute their checksums (EIO, EINVAL).
 */
function cannotCut(errno: number): boolean {
  return errno === Errno.EMSGSIZE || errno === Errno.EINVAL || errno === EIO
}

const EIO = 5
