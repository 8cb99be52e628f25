import { NO_PIPE, NO_SOCKET, type Pipe, type Socket, type Sockets } from "@demiflow/core"

/** How far the end of what a socket receives has come. */
export const Ending = {
  none: 0,
  /** Everything was read. */
  read: 1,
  /** The other socket was shut down: nothing more follows. */
  passedOn: 2,
} as const
type EndingId = (typeof Ending)[keyof typeof Ending]

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
  ending: EndingId = Ending.none
  /** True if `to` may take more. */
  isWritable = false
  /** Bytes that `to` has taken since the connection began; in the end also those that were lost in the pipe. */
  bytes = 0

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
    this.ending = Ending.none
    this.isWritable = false
    this.bytes = 0
  }

  /** True once everything was read from `from`. */
  get hasEnded(): boolean {
    return this.ending !== Ending.none
  }

  /** True once `to` was shut down. */
  get isShut(): boolean {
    return this.ending === Ending.passedOn
  }
}
