import type { Demiflow, SideRef, Socket } from "@demiflow/core"
import type { SimulatedKernel } from "./simulated-kernel.ts"

/** What every simulated socket has, whatever it speaks. */
export abstract class SimulatedSocket {
  readonly descriptor: Socket
  readonly side: SideRef
  /** Host side: the forwarding end is what it is bound to. */
  readonly demiflow: Demiflow
  protected readonly kernel: SimulatedKernel
  isOpen = true
  /** True while it waits in the list of sockets to report. */
  isListed = false
  /** A positive error number that waits to be told. */
  pendingError = 0

  constructor(kernel: SimulatedKernel, descriptor: Socket, side: SideRef, demiflow: Demiflow) {
    this.kernel = kernel
    this.descriptor = descriptor
    this.side = side
    this.demiflow = demiflow
  }

  /** The events that hold at this moment, in bits of `HostEvent`. */
  abstract readiness(): number

  /** True if it may be told as readable and writable without being so. */
  get mayTellForNoReason(): boolean {
    return true
  }

  /** Closes it: what that means to the other end, a protocol knows. */
  abstract closed(): void

  /** Takes the pending error: 0 or a negated error number. */
  takeError(): number {
    const error = this.pendingError
    this.pendingError = 0
    return error === 0 ? 0 : -error
  }
}
