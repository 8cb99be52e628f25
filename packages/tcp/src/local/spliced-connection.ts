import { type FlowIndex, type Host, NO_SOCKET, type Socket } from "@demiflow/core"
import { Direction } from "./direction.ts"

/** A connection from socket to socket. Objects are pooled and keep one shape. */
export class SplicedConnection {
  /** Negative once it has ended. */
  flow: FlowIndex = -1 as FlowIndex
  /** Whose the socket of the initiating side is, and that of the target side. */
  initiatingHost: Host
  targetHost: Host
  initiatingSocket: Socket = NO_SOCKET
  targetSocket: Socket = NO_SOCKET
  /** The connection of the target side is not there yet. */
  isConnecting = true
  /** From the initiating side to the target side. */
  readonly forth: Direction = new Direction()
  readonly back: Direction = new Direction()
  /** Stands in the queue of those that have more than there was time for. */
  isWaiting = false
  /** Stands in the list of those that have to be looked at again. */
  isCoalescing = false

  constructor(initiatingHost: Host, targetHost: Host) {
    this.initiatingHost = initiatingHost
    this.targetHost = targetHost
  }
}
