/**
 * Segments that the guest didn't get: three duplicate acknowledgements bring the missing segment again, and partial
 * acknowledgements the next one (RFC 5681, section 3.2; RFC 6582); a time-out goes back to the first unacknowledged byte
 * (RFC 6298). How much may be in flight then is in congestion.ts.
 */
import { Errno } from "@demiflow/core"
import { halve } from "./congestion.ts"
import type { TcpConnection } from "./connection.ts"
import type { TcpContext } from "./context.ts"
import { distance } from "./sequence-number.ts"
import { awaitsFinAcknowledgement } from "./state.ts"
import type { ToHost } from "./to-host.ts"
import { TCP_HEADER_LENGTH, TcpFlag } from "./wire.ts"

/** Duplicate acknowledgements that mean loss (RFC 5681, section 3.2). */
const DUPLICATE_THRESHOLD = 3

/** What is unacknowledged is to be sent again, from its first byte on: all that was sent until now. */
export function goBack(connection: TcpConnection): void {
  connection.seqToTap = connection.ackFromTap
  connection.isHostReadable = true
  connection.isRecovering = false
  connection.duplicateAcks = 0
  connection.timedSince = -1
}

export class LossRecovery {
  readonly #context: TcpContext
  readonly #toHost: ToHost

  constructor(context: TcpContext, toHost: ToHost) {
    this.#context = context
    this.#toHost = toHost
  }

  /** The guest acknowledged once more what it had acknowledged already. */
  duplicate(connection: TcpConnection): void {
    // What answers a question for a shut window says nothing of loss; nor does what answers segments that are sent once
    // more after a time-out, which the guest may have had (RFC 6582, section 3.2, step 2).
    if (connection.windowFromTap === 0 || connection.isResending) return
    if (++connection.duplicateAcks !== DUPLICATE_THRESHOLD || connection.isRecovering) return
    halve(connection)
    connection.isRecovering = true
    connection.recoverSeq = connection.seqToTapHighest
    connection.timedSince = -1
    this.#sendFirst(connection)
  }

  /** The guest acknowledged new bytes: with all that was sent when the loss showed, recovery ends; until then it goes on. */
  acknowledged(connection: TcpConnection, acknowledgement: number): void {
    if (distance(connection.recoverSeq, acknowledgement) >= 0) {
      connection.isRecovering = false
      connection.isResending = false
    } else if (connection.isRecovering) this.#sendFirst(connection)
  }

  /** Sends the first unacknowledged segment again. */
  #sendFirst(connection: TcpConnection): void {
    if (connection.socket < 0) return
    const { components, output, vectors } = this.#context
    const hasFin = awaitsFinAcknowledgement(connection.state)
    const payload = distance(connection.ackFromTap, connection.seqToTapHighest) - (hasFin ? 1 : 0)
    if (payload <= 0) {
      this.#toHost.prepareSegment(connection)
      if (hasFin) output.sendEmpty(connection, connection.ackFromTap, TcpFlag.fin)
      return
    }
    const size = Math.min(payload, connection.mssToTap)
    const offset = output.begin(connection, size)
    if (offset < 0) return
    vectors.set(0, offset + TCP_HEADER_LENGTH, size)
    const got = components.host.peek(connection.socket, vectors, 0, 1, connection.undiscardedBytes)
    if (got <= 0) {
      output.abandon(offset)
      if (got < 0 && got !== -Errno.EAGAIN) this.#context.abort(connection, true)
      return
    }
    this.#toHost.prepareSegment(connection)
    output.end(connection, offset, connection.ackFromTap, TcpFlag.push, got)
  }
}
