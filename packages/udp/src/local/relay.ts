import { type Arena, type Clock, type Components, DatagramBatch, type Drops, Errno } from "@demiflow/core"
import { datagramsIn, LARGEST_PAYLOAD, NOTHING_WHOLE, putTogether, wholeLength } from "../leaving-together.ts"
import type { UdpReasons } from "../reasons.ts"
import type { Scarcity } from "../scarcity.ts"
import { BUDGET_BYTES, BUDGET_DATAGRAMS, BUDGET_ERRORS, LARGEST_BURST, SMALLEST_BURST } from "../turn-budget.ts"
import type { WaitingPlace } from "../waiting-sources.ts"
import type { ReportedErrors } from "./reported-errors.ts"
import type { SplicedFlow, SplicedSide } from "./spliced-flow.ts"

/**
 * Carries datagrams from the socket of one side to that of the other: one call receives many, and one sends them from where
 * they were received to. What the kernel had left together it is given together, to be cut where it is received, and
 * neighbours of one size are put together for that.
 *
 * A socket that has used up its budget waits for its next turn. What has no room in the send queue is lost, as datagrams are
 * on any way; what is reported about earlier ones is got over.
 */
export class Relay {
  readonly #arena: Arena
  readonly #clock: Clock
  readonly #drops: Drops
  readonly #reasons: UdpReasons
  readonly #errors: ReportedErrors
  readonly #scarcity: Scarcity
  readonly #waiting: WaitingPlace<SplicedSide>
  readonly #batch = new DatagramBatch(LARGEST_BURST)
  readonly #space: number

  constructor(
    components: Components,
    reasons: UdpReasons,
    errors: ReportedErrors,
    scarcity: Scarcity,
    waiting: WaitingPlace<SplicedSide>,
  ) {
    this.#arena = components.arena
    this.#clock = components.clock
    this.#drops = components.drops
    this.#reasons = reasons
    this.#errors = errors
    this.#scarcity = scarcity
    this.#waiting = waiting
    this.#space = components.arena.reserve(LARGEST_BURST * LARGEST_PAYLOAD)
  }

  /** Passes on what waits in the socket of a side, within its budget. */
  drain(from: SplicedSide): void {
    const batch = this.#batch
    let wanted = from.burst === 0 ? SMALLEST_BURST : from.burst
    let datagrams = 0
    let bytes = 0
    let errors = 0
    while (datagrams < BUDGET_DATAGRAMS && bytes < BUDGET_BYTES && errors < BUDGET_ERRORS) {
      this.#prepare(wanted)
      const received = from.host.receiveDatagrams(from.socket, batch, wanted)
      if (received === 0 || received === -Errno.EAGAIN) {
        from.burst = 0
        return
      }
      if (received < 0) {
        if (this.#errors.drain(from) === 0) this.#drops.count(this.#reasons.notDelivered)
        errors++
        continue
      }
      this.#heard(from)
      bytes += this.#passAll(from.opposite, received)
      if (received < wanted) {
        from.burst = 0
        return
      }
      datagrams += received
      wanted = Math.min(wanted * 2, LARGEST_BURST)
    }
    from.burst = wanted
    this.#waiting.wait(from, this.#clock.now)
  }

  /**
   * Passes on a datagram that was received elsewhere, or several of `segmentSize` bytes left together, in the name of a
   * side.
   *
   * @param offset of the payload in the arena
   * @param length bytes, more than {@link LARGEST_PAYLOAD} if its end was cut off
   */
  pass(from: SplicedSide, offset: number, length: number, segmentSize: number): void {
    this.#batch.offset[0] = offset
    this.#batch.length[0] = length
    this.#batch.segmentSize[0] = segmentSize
    this.#heard(from)
    this.#passAll(from.opposite, 1)
  }

  #heard(from: SplicedSide): void {
    const flow: SplicedFlow = from.flow
    flow.lastActivity = this.#clock.now
    if (from === flow.initiating || flow.hasReply) return
    flow.hasReply = true
    this.#scarcity.settled(flow)
  }

  #prepare(wanted: number): void {
    const batch = this.#batch
    for (let index = 0; index < wanted; index++) {
      batch.offset[index] = this.#space + index * LARGEST_PAYLOAD
      batch.length[index] = LARGEST_PAYLOAD
    }
  }

  /** Passes on the first entries of the batch, without those that were cut off. Answers how many bytes. */
  #passAll(to: SplicedSide, received: number): number {
    const batch = this.#batch
    let kept = 0
    let bytes = 0
    for (let index = 0, next = 0; index < received; index = next) {
      next = putTogether(this.#arena, batch, index, received)
      const segmentSize = batch.segmentSize[index]
      const whole = wholeLength(batch.length[index], segmentSize)
      if (whole < batch.length[index]) this.#drops.count(this.#reasons.cutOff)
      if (whole === NOTHING_WHOLE) continue
      batch.offset[kept] = batch.offset[index]
      batch.length[kept] = whole
      batch.segmentSize[kept] = segmentSize < whole ? segmentSize : 0
      kept++
      bytes += whole
    }
    this.#send(to, kept)
    return bytes
  }

  #send(to: SplicedSide, count: number): void {
    let first = 0
    let isRepeated = false
    while (first < count) {
      const offset = this.#batch.offset[first]
      const sent = to.host.sendDatagrams(to.socket, this.#batch, first, count - first)
      if (sent > 0) {
        first += sent
        isRepeated = false
      } else if (sent === 0 || sent === -Errno.EAGAIN) {
        while (first < count) this.#lose(first++, -Errno.EAGAIN)
      } else if ((isRepeated && this.#batch.offset[first] === offset) || sent === -Errno.ENOBUFS) {
        this.#lose(first++, sent)
        isRepeated = false
      } else {
        // An error that an earlier datagram met is told here too, and only once: so the datagram gets a second chance.
        this.#errors.drain(to)
        isRepeated = true
      }
    }
  }

  #lose(index: number, answer: number): void {
    const isFull = answer === -Errno.EAGAIN || answer === -Errno.ENOBUFS
    const { length, segmentSize } = this.#batch
    const reason = isFull ? this.#reasons.sendQueueFull : this.#reasons.sendFailed
    this.#drops.count(reason, datagramsIn(length[index], segmentSize[index]))
  }
}
