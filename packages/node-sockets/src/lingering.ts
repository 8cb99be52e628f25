import type { Socket as NodeSocket } from "node:net"

/** Milliseconds without progress after which what a socket still has to send is given up. */
const PATIENCE = 120_000
/** Each may hold a full send buffer, and a descriptor that no flow accounts for. */
const MOST = 512

/**
 * Closed sockets that still have something to send. Correspondents that take nothing could leave any number of them, so
 * the oldest is reset for one more than the limit.
 */
export class Lingering {
  readonly #sockets = new Set<NodeSocket>()
  readonly #most: number

  constructor(most: number = MOST) {
    this.#most = most
  }

  /** Ends a socket once it has sent everything. */
  add(socket: NodeSocket): void {
    const [oldest] = this.#sockets
    if (this.#sockets.size >= this.#most) this.#giveUp(oldest)
    this.#sockets.add(socket)
    socket.once("close", () => this.#sockets.delete(socket))
    socket.setTimeout(PATIENCE, () => this.#giveUp(socket))
    socket.destroySoon()
  }

  #giveUp(socket: NodeSocket): void {
    this.#sockets.delete(socket)
    socket.resetAndDestroy()
  }
}
