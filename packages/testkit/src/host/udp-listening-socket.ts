import { type Demiflow, HostEvent, NO_SIDE, type Socket } from "@demiflow/core"
import { DatagramSocket } from "./datagram-socket.ts"
import type { Listening } from "./listening.ts"
import type { SimulatedKernel } from "./simulated-kernel.ts"
import type { World } from "./world.ts"

const EDESTADDRREQ = 89

/** A UDP socket that is not connected: receives from anybody, and sends to nobody. */
export class UdpListeningSocket extends DatagramSocket {
  override readonly listening: Listening

  constructor(
    kernel: SimulatedKernel,
    descriptor: Socket,
    bound: Demiflow,
    listening: Listening,
    world: World,
    delay: () => number,
    receiveBuffer: number,
  ) {
    super(kernel, descriptor, NO_SIDE, bound, world, delay, receiveBuffer)
    this.listening = listening
  }

  /** Of room it has nothing to tell. */
  override readiness(): number {
    return super.readiness() & ~HostEvent.writable
  }

  protected override readonly overhead = 0
  protected override readonly maximum = 0

  protected override prepare(): number {
    return -EDESTADDRREQ
  }

  protected override deliver(): boolean {
    return false
  }
}
