import { type Demiflow, type ListeningEnd, NO_SIDE, type SideRef, type Socket, SocketEvent } from "@demiflow/core"
import { UdpSocket } from "./datagram-socket.ts"
import type { Listening } from "./listening.ts"
import type { SimulatedKernel } from "./simulated-kernel.ts"
import type { World } from "./world.ts"

/** The bound end of such a socket, and the listener or side for which its events are reported. */
export interface UnconnectedEnd {
  readonly end: ListeningEnd
  readonly listening?: Listening
  readonly side?: SideRef
}

/** An unconnected UDP socket: receives from any end, and sends to the end that a call names. */
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
    return super.readiness() & ~SocketEvent.writable
  }

  override handOver(side: SideRef): void {
    super.handOver(side)
    this.listening = undefined
  }
}
