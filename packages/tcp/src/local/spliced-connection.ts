import type { FlowIndex, Sockets } from "@demiflow/core"
import type { Waiting } from "@demiflow/protocol-kit"
import { Direction } from "./direction.ts"

/** A connection from socket to socket. Objects are pooled and keep one shape. */
export class SplicedConnection implements Waiting {
  /** Negative once the connection has ended. */
  flow: FlowIndex = -1 as FlowIndex
  /** True until the socket of the target side is connected. */
  isConnecting = true
  /** From the initiating side to the target side. */
  readonly forth: Direction
  readonly back: Direction
  // Flags for places in lists. They belong to the object, not the connection: its next user finds the object listed.
  /** True if it is among those with more to move than there was time for. */
  isWaiting = false

  constructor(initiatingHost: Sockets, targetHost: Sockets) {
    this.forth = new Direction(initiatingHost, targetHost)
    this.back = new Direction(targetHost, initiatingHost)
  }

  get needsGuest(): boolean {
    return false
  }
}
