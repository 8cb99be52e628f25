import { NO_PIPE, NO_SOCKET, type Pipe, type Socket, type Sockets } from "@demiflow/core"

/** One direction of a spliced connection, from the socket that receives to the one that sends. */
export class Direction {
  from: Socket = NO_SOCKET
  to: Socket = NO_SOCKET
  /** The hosts of the two sockets. */
  fromHost: Sockets
  toHost: Sockets
  /** Lent by the pool for as long as the pipe has anything in it. */
  pipe: Pipe = NO_PIPE
  /** Bytes in the pipe. */
  heldBytes = 0
  /** True if `from` may have more. */
  isReadable = false
  /** True if a byte at `from` is marked as urgent: splice(2) doesn't get past it. */
  isUrgent = false
  /** True once everything was read from `from`. */
  hasEnded = false
  /** True if `to` may take more. */
  isWritable = false
  /** True once `to` was shut down: nothing more follows. */
  isShut = false

  constructor(fromHost: Sockets, toHost: Sockets) {
    this.fromHost = fromHost
    this.toHost = toHost
  }

  /** Resets a pooled object for a new connection. */
  reset(from: Socket, fromHost: Sockets, to: Socket, toHost: Sockets): void {
    this.from = from
    this.to = to
    this.fromHost = fromHost
    this.toHost = toHost
    this.pipe = NO_PIPE
    this.heldBytes = 0
    this.isReadable = false
    this.isUrgent = false
    this.hasEnded = false
    this.isWritable = false
    this.isShut = false
  }
}
