import { NO_PIPE, NO_SOCKET, type Pipe, type Socket } from "@demiflow/core"

/** One direction of a spliced connection: what one socket receives and the other one sends. */
export class Direction {
  from: Socket = NO_SOCKET
  to: Socket = NO_SOCKET
  /** Lent by the pool for as long as there is anything in it. */
  pipe: Pipe = NO_PIPE
  /** Bytes in the pipe. */
  heldBytes = 0
  /** `from` has more, as far as we know. */
  isReadable = false
  /** Everything was read from `from`. */
  hasEnded = false
  /** `to` takes more, as far as we know. */
  isWritable = false
  /** `to` was told that nothing more comes. */
  isShut = false
  /** `from` says that it is readable only once much waits: see coalescing.ts. */
  isCoalescing = false
  /** Bytes moved since that was decided last. */
  recentBytes = 0

  /** Makes a pooled object new again. */
  reset(from: Socket, to: Socket): void {
    this.from = from
    this.to = to
    this.pipe = NO_PIPE
    this.heldBytes = 0
    this.isReadable = false
    this.hasEnded = false
    this.isWritable = false
    this.isShut = false
    this.isCoalescing = false
    this.recentBytes = 0
  }
}
