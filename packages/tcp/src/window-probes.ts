/**
 * A guest whose window is shut while there is payload for it: a segment with an old sequence number asks for the window at
 * the interval of the time-out (RFC 9293, section 3.8.6.1).
 */
import type { TcpConnection } from "./connection.ts"
import type { TcpContext } from "./context.ts"
import { probeInterval } from "./round-trip.ts"
import type { ToHost } from "./to-host.ts"

/** A guest that answers no window probe for so long is gone, milliseconds. */
const PATIENCE = 300_000

export class WindowProbes {
  readonly #context: TcpContext
  readonly #toHost: ToHost

  constructor(context: TcpContext, toHost: ToHost) {
    this.#context = context
    this.#toHost = toHost
  }

  /** Asks the guest to answer, with a sequence number that it has acknowledged already. */
  send(connection: TcpConnection): void {
    this.#toHost.prepareSegment(connection)
    this.#context.output.sendEmpty(connection, (connection.ackFromTap - 1) | 0, 0)
  }

  /** There is more than the guest's window takes. With nothing in flight only a probe can find out that it opens again. */
  waitForWindow(connection: TcpConnection): void {
    connection.isHostReadable = true
    if (connection.inFlight > 0 || connection.retransmitAt >= 0) return
    connection.probingSince = this.#context.now
    connection.windowProbes = 0
    this.#sendLater(connection)
  }

  /** The window is still shut after the interval: asks again, or aborts the connection of a guest that is gone. */
  repeat(connection: TcpConnection): void {
    const { now } = this.#context
    if (connection.probingSince < 0) connection.probingSince = now
    if (now - Math.max(connection.lastFromTap, connection.probingSince) > PATIENCE) {
      this.#context.abort(connection, true)
      return
    }
    this.send(connection)
    connection.windowProbes++
    this.#sendLater(connection)
  }

  #sendLater(connection: TcpConnection): void {
    connection.retransmitAt = this.#context.now + probeInterval(connection)
    this.#context.arm(connection)
  }
}
