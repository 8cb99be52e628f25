import { type Arena, type Components, DatagramBatch, type Demiflow, type Drops, Errno, type Host } from "@demiflow/core"
import type { ErrorRelay } from "./error-relay.ts"
import { LARGEST_PAYLOAD, mayFollow } from "./leaving-together.ts"
import type { UdpReasons } from "./reasons.ts"
import type { UdpFlow } from "./state.ts"

/** Entries handed to the host in one call. */
const BATCH_SIZE = 64
/** Room for datagrams that are put together, before they have to be sent. */
const GATHERED_BYTES = 4 * LARGEST_PAYLOAD

/** Entries to send, with the packets of the guest that each of them holds. */
class OutgoingBatch extends DatagramBatch {
  readonly packets: Int32Array = new Int32Array(this.capacity)

  add(offset: number, length: number, segmentSize: number): void {
    this.offset[this.count] = offset
    this.length[this.count] = length
    this.segmentSize[this.count] = segmentSize
    this.packets[this.count++] = 1
  }
}

/**
 * Sends what a sequence holds: one call for many datagrams. A datagram is sent from where it arrived, unless one of the
 * same size follows: these are put together, for the host to cut. So does what an offload of the guest left together.
 */
export class ToHost {
  readonly #arena: Arena
  readonly #host: Host
  readonly #drops: Drops
  readonly #reasons: UdpReasons
  readonly #errors: ErrorRelay
  readonly #batch = new OutgoingBatch(BATCH_SIZE)
  /** For the datagrams of an entry that the host can't cut. */
  readonly #pieces = new OutgoingBatch(BATCH_SIZE)
  readonly #gathered: number
  /** Behind what was put together last. */
  #end: number

  constructor(components: Components, reasons: UdpReasons, errors: ErrorRelay) {
    this.#arena = components.arena
    this.#host = components.host
    this.#drops = components.drops
    this.#reasons = reasons
    this.#errors = errors
    this.#gathered = components.arena.reserve(GATHERED_BYTES)
    this.#end = this.#gathered
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
    if (!isTogether && flow.isGathering && this.#join(offset, length)) return
    const batch = this.#batch
    if (batch.count === BATCH_SIZE || this.#end + LARGEST_PAYLOAD > this.#gathered + GATHERED_BYTES) {
      this.flush(flow, tap)
    }
    batch.add(offset, length, isTogether ? segmentSize : 0)
  }

  /** Sends what was added. */
  flush(flow: UdpFlow, tap: Demiflow): void {
    if (this.#batch.count > 0) this.#send(flow, tap, this.#batch)
    this.#end = this.#gathered
  }

  /** Puts a datagram behind those of the last entry, if they are of one size. */
  #join(offset: number, length: number): boolean {
    const batch = this.#batch
    const last = batch.count - 1
    if (last < 0) return false
    const packets = batch.packets[last]
    const together = batch.length[last]
    // What the guest left together is one packet with a segment size: it stays as it is.
    if (packets === 1 && batch.segmentSize[last] > 0) return false
    const first = packets === 1 ? together : batch.segmentSize[last]
    if (!mayFollow(first, length, together, packets)) return false
    if (packets === 1) {
      this.#arena.copy(batch.offset[last], this.#end, together)
      batch.offset[last] = this.#end
      batch.segmentSize[last] = first
      this.#end += together
    }
    this.#arena.copy(offset, this.#end, length)
    this.#end += length
    batch.length[last] = together + length
    batch.packets[last] = packets + 1
    return true
  }

  #send(flow: UdpFlow, tap: Demiflow, batch: OutgoingBatch): void {
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
        for (; first < batch.count; first++) this.#drops.count(this.#reasons.sendQueueFull, batch.packets[first])
        break
      }
      // An error that an earlier datagram met is told here too, and only once: so the datagram gets a second chance.
      if (!isRepeated && sent !== -Errno.ENOBUFS) {
        isRepeated = true
        this.#errors.drain(flow)
        continue
      }
      isRepeated = false
      this.#refused(flow, tap, batch, first++, -sent)
    }
    batch.count = 0
  }

  #refused(flow: UdpFlow, tap: Demiflow, batch: OutgoingBatch, index: number, errno: number): void {
    const packets = batch.packets[index]
    if (errno === Errno.ENOBUFS) {
      this.#drops.count(this.#reasons.sendQueueFull, packets)
    } else if (packets > 1) {
      // Perhaps only because the host can't cut on this way: then the flow does without.
      flow.isGathering = false
      this.#sendPieces(flow, tap, batch.offset[index], batch.length[index], batch.segmentSize[index])
    } else {
      this.#drops.count(this.#reasons.sendFailed)
      this.#errors.refuse(tap, errno, batch.offset[index], batch.segmentSize[index] || batch.length[index])
    }
  }

  #sendPieces(flow: UdpFlow, tap: Demiflow, offset: number, length: number, size: number): void {
    for (let done = 0; done < length; done += size) {
      this.#pieces.add(offset + done, Math.min(size, length - done), 0)
    }
    this.#send(flow, tap, this.#pieces)
  }
}
