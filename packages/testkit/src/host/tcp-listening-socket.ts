import { type Demiflow, NO_SIDE, type Socket, SocketEvent } from "@demiflow/core"
import type { Listening } from "./listening.ts"
import type { SimulatedKernel } from "./simulated-kernel.ts"
import { SimulatedSocket } from "./simulated-socket.ts"
import type { TcpSocket } from "./tcp-socket.ts"

/** A TCP socket that listens, with its queue of connections. */
export class TcpListeningSocket extends SimulatedSocket {
  override readonly listening: Listening
  readonly #backlog: number
  readonly #waiting: TcpSocket[] = []
  /** Handshakes that have begun. */
  #begun = 0

  constructor(kernel: SimulatedKernel, descriptor: Socket, bound: Demiflow, listening: Listening, backlog: number) {
    super(kernel, descriptor, NO_SIDE, bound)
    this.listening = listening
    this.#backlog = backlog
  }

  /** Connections that can be accepted. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** True if the kernel doesn't answer further attempts. */
  get isFull(): boolean {
    return this.#waiting.length + this.#begun >= this.#backlog
  }

  /** Notes that a handshake begins. */
  begin(): void {
    this.#begun++
  }

  /** Queues a connection whose handshake is done. */
  arrive(socket: TcpSocket): void {
    this.#begun--
    // The other end has already reset the connection: there is nothing to accept.
    if (socket.isOver) return
    if (!this.isOpen) {
      socket.reset()
      return
    }
    this.#waiting.push(socket)
    this.kernel.list(this)
  }

  /** The connection that has waited longest. */
  take(): TcpSocket | undefined {
    return this.#waiting.shift()
  }

  override readiness(): number {
    return this.#waiting.length > 0 ? SocketEvent.readable : 0
  }

  /** As `inet_csk_listen_stop`: connections that wait are reset. */
  override closed(): void {
    for (const socket of this.#waiting) socket.reset()
  }
}
