import { type Host, NO_PIPE, NO_SOCKET, type Pipe, type Socket } from "@demiflow/core"

/** One direction of a spliced connection: what one socket receives and the other one sends. */
export class Direction {
  from: Socket = NO_SOCKET
  to: Socket = NO_SOCKET
  /** Whose the two sockets are. */
  fromHost: Host
  toHost: Host
  /** Lent by the pool for as long as there is anything in it. */
  pipe: Pipe = NO_PIPE
  /** Bytes in the pipe. */
  heldBytes = 0
  /** `from` has more, as far as we know. */
  isReadable = false
  /** A byte at `from` is marked as urgent: splice(2) doesn't get past it. */
  isUrgent = false
  /** Everything was read from `from`. */
  hasEnded = false
  /** `to` takes more, as far as we know. */
  isWritable = false
  /** `to` was shut down: nothing more comes. */
  isShut = false

  constructor(fromHost: Host, toHost: Host) {
    this.fromHost = fromHost
    this.toHost = toHost
  }

  /** Makes a pooled object new again. */
  reset(from: Socket, fromHost: Host, to: Socket, toHost: Host): void {
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
