import type { Demiflow, SideRef, Socket } from "@demiflow/core"
import type { Listening } from "./listening.ts"
import type { QueuedError } from "./queued-error.ts"
import type { SimulatedKernel } from "./simulated-kernel.ts"
import { SocketMarks } from "./socket-marks.ts"

/** What every simulated socket has, whatever it speaks. */
export abstract class SimulatedSocket {
  /** None yet for a connection that waits for its acceptance. */
  descriptor: Socket
  /** The side that its events are reported of; none for a probe, or before an accepted connection is watched. */
  side: SideRef
  /** Present on a socket that listens: its events are reported of the listener. */
  listening: Listening | undefined = undefined
  /** Host side: the forwarding end is what it is bound to. */
  readonly demiflow: Demiflow
  readonly marks: SocketMarks = new SocketMarks()
  protected readonly kernel: SimulatedKernel
  isOpen = true
  /** True while it waits in the list of sockets to report. */
  isListed = false
  /** A positive error number that waits to be reported. */
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

  /** The events that hold at this moment, in bits of `HostEvent`. */
  abstract readiness(): number

  /** True if it may be reported as readable and writable without being so. */
  get mayTellForNoReason(): boolean {
    return true
  }

  /** Closes it: what that means to the other end, a protocol knows. */
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
