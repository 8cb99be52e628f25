import { type Demiflow, HostEvent, type ListeningEnd, NO_SIDE, type SideRef, type Socket } from "@demiflow/core"
import { UdpSocket } from "./datagram-socket.ts"
import type { Listening } from "./listening.ts"
import type { SimulatedKernel } from "./simulated-kernel.ts"
import type { World } from "./world.ts"

/** What such a socket is bound to, and what its events are reported of: a listener or a side. */
export interface UnconnectedEnd {
  readonly end: ListeningEnd
  readonly listening?: Listening
  readonly side?: SideRef
}

/** A UDP socket that is not connected: receives from anybody, and sends to whom it is asked to. */
export class UnconnectedUdpSocket extends UdpSocket {
  override listening: Listening | undefined
  override readonly end: ListeningEnd

  constructor(
    kernel: SimulatedKernel,
    descriptor: Socket,
    bound: Demiflow,
    { end, listening, side = NO_SIDE }: UnconnectedEnd,
    world: World,
    delay: () => number,
    receiveBuffer: number,
  ) {
    super(kernel, descriptor, side, bound, world, delay, receiveBuffer)
    this.end = end
    this.listening = listening
  }

  /** Room is not reported. */
  override readiness(): number {
    return super.readiness() & ~HostEvent.writable
  }

  override handOver(side: SideRef): void {
    super.handOver(side)
    this.listening = undefined
  }
}
