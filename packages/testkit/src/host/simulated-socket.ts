import type { Demiflow, SideRef, Socket } from "@demiflow/core"
import type { Listening } from "./listening.ts"
import type { QueuedError } from "./queued-error.ts"
import type { SimulatedKernel } from "./simulated-kernel.ts"
import { SocketMarks } from "./socket-marks.ts"

/** The base of every simulated socket, whatever its protocol. */
export abstract class SimulatedSocket {
  /** None yet for a connection that waits to be accepted. */
  descriptor: Socket
  /** The side for which its events are reported; none for a probe, or before an accepted connection is watched. */
  side: SideRef
  /** Present on a listening socket: its events are reported for the listener. */
  listening: Listening | undefined = undefined
  /** Host side: the forwarding end is the bound end. */
  readonly demiflow: Demiflow
  readonly marks: SocketMarks = new SocketMarks()
  protected readonly kernel: SimulatedKernel
  isOpen = true
  /** True while it waits in the list of sockets to report. */
  isListed = false
  /** The pending error, a positive error number. */
  pendingError = 0

  constructor(kernel: SimulatedKernel, descriptor: Socket, side: SideRef, demiflow: Demiflow) {
    this.kernel = kernel
    this.descriptor = descriptor
    this.side = side
    this.demiflow = demiflow
  }

  /** True if its events are reported. */
  get isWatched(): boolean {
    return this.side >= 0 || this.listening !== undefined
  }

  /** The current events, in bits of `SocketEvent`. */
  abstract readiness(): number

  /** True if it may be reported spuriously as readable and writable. */
  get mayBeReportedForNoReason(): boolean {
    return true
  }

  /** Closes the socket, with the protocol's effect on the other end. */
  abstract closed(): void

  /** Takes the oldest entry of the error queue. */
  takeQueuedError(): QueuedError | undefined {
    return undefined
  }

  /** Takes the pending error: 0 or a negated error number. */
  takeError(): number {
    const error = this.pendingError
    this.pendingError = 0
    return error === 0 ? 0 : -error
  }
}
