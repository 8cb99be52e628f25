import type { FlowIndex, Host } from "@demiflow/core"
import { Direction } from "./direction.ts"

/** A connection from socket to socket. Objects are pooled and keep one shape. */
export class SplicedConnection {
  /** Negative once it has ended. */
  flow: FlowIndex = -1 as FlowIndex
  /** The connection of the target side is not there yet. */
  isConnecting = true
  /** From the initiating side to the target side. */
  readonly forth: Direction
  readonly back: Direction
  // Places in lists. They belong to the object, not to the connection: its next user finds it there already.
  /** Among those that have more than there was time for. */
  isWaiting = false

  constructor(initiatingHost: Host, targetHost: Host) {
    this.forth = new Direction(initiatingHost, targetHost)
    this.back = new Direction(targetHost, initiatingHost)
  }
}
