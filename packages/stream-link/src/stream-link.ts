/**
 * The link over a connected stream socket, in QEMU's framing.
 *
 * The link outlives hypervisors: sockets are attached and detached, and without one nothing is received and whatever is
 * sent is dropped. Both directions move many frames with one system call: one read of all waiting bytes, split into
 * frames in place; one write of many pieces, each a frame with its length in the headroom.
 *
 * A socket may take half a frame. The rest, and everything else to be sent, is copied to a backlog of fixed size, and
 * the link is congested until the backlog is empty again. A frame is kept whole or not at all. `docs/decisions/0009`
 * has the reasons.
 */
import {
  type Arena,
  type DropReason,
  type Drops,
  Errno,
  type FrameBatch,
  type Link,
  type LinkCapabilities,
  Vectors,
} from "@demiflow/core"
import { MessageFlag, type Native, SocketLevel, SocketOption } from "@demiflow/sys"
import { Backlog } from "./backlog.ts"
import { FrameSplitter } from "./frame-splitter.ts"
import { FRAME_LENGTH_BYTES } from "./framing.ts"
import type { StreamEnd } from "./stream-errors.ts"

const DEFAULT_MTU = 65_520
const DEFAULT_RECEIVE_BYTES = 512 << 10
const DEFAULT_BACKLOG_BYTES = 4 << 20
/** Most pieces of one write: the kernel's limit (UIO_MAXIOV). */
const MOST_PIECES = 1024
/** Requested size; the kernel grants up to `net.core.wmem_max`. */
const SEND_BUFFER_BYTES = 4 << 20

/** Options of a {@link StreamLink}. */
export interface StreamLinkOptions {
  /** Largest IP packet of one frame, bytes; 65,520 if absent. */
  readonly mtu?: number
  /** Most bytes of one read; 512 KiB if absent. */
  readonly receiveBytes?: number
  /**
   * Most bytes that wait for the hypervisor, beyond those that the socket holds; 4 MiB if absent. What doesn't fit is
   * dropped: give the tap side no more `transmitBytes` than that. Its own default is 8 MiB.
   */
  readonly backlogBytes?: number
  /** Counts lost frames. */
  readonly drops?: Drops
}

/** Arena bytes that a link with these options reserves at most. */
export function streamLinkArenaBytes(options: StreamLinkOptions = {}): number {
  const { receiveBytes = DEFAULT_RECEIVE_BYTES, backlogBytes = DEFAULT_BACKLOG_BYTES } = options
  return receiveBytes + backlogBytes + MOST_PIECES * 8 + 1024
}

/** Moves frames to and from the attached hypervisor. */
export class StreamLink implements Link {
  readonly arena: Arena
  readonly capabilities: LinkCapabilities
  /**
   * Called when the socket took less than there was to send, or failed while sending, or when an impossible length is
   * behind the frames received: watch it for being writable, then call {@link StreamLink.drain}, and
   * {@link StreamLink.receive} if {@link StreamLink.isFrameWaiting}.
   */
  onWaiting: (() => void) | undefined = undefined
  readonly #native: Native
  readonly #splitter: FrameSplitter
  readonly #backlog: Backlog
  readonly #vectors: Vectors
  readonly #drops: Drops | undefined
  readonly #noGuest: DropReason | undefined
  readonly #shortFrame: DropReason | undefined
  #descriptor = -1
  #end: StreamEnd | undefined
  #short = 0

  /** Reserves {@link streamLinkArenaBytes} of the arena, which must be the one that `native` works on. */
  constructor(native: Native, arena: Arena, options: StreamLinkOptions = {}) {
    this.arena = arena
    this.capabilities = {
      mtu: options.mtu ?? DEFAULT_MTU,
      headroom: FRAME_LENGTH_BYTES,
      checksumOffload: false,
      tcpSegmentation: false,
      udpSegmentation: false,
    }
    this.#native = native
    this.#splitter = new FrameSplitter(arena, options.receiveBytes ?? DEFAULT_RECEIVE_BYTES)
    this.#backlog = new Backlog(arena, options.backlogBytes ?? DEFAULT_BACKLOG_BYTES)
    this.#vectors = new Vectors(arena, MOST_PIECES)
    this.#drops = options.drops
    this.#noGuest = options.drops?.reason("link: no guest")
    this.#shortFrame = options.drops?.reason("link: shorter than an Ethernet header")
  }

  /** The socket's descriptor, -1 if none is attached. To be watched for being readable, level-triggered. */
  get descriptor(): number {
    return this.#descriptor
  }

  /** Why the attached stream ended; undefined while it hasn't. */
  get end(): StreamEnd | undefined {
    return this.#end
  }

  /** True while frames wait for the socket. */
  get isCongested(): boolean {
    return !this.#backlog.isEmpty
  }

  /**
   * True if {@link StreamLink.receive} has more from the last read: frames that didn't fit in a batch, or a length
   * after them that ends the stream. The socket doesn't become readable for those.
   */
  get isFrameWaiting(): boolean {
    return this.#splitter.isWaiting || (this.#splitter.badLength >= 0 && this.#end === undefined)
  }

  /** Takes over a connected stream socket. One that was attached before is closed. */
  attach(descriptor: number): void {
    this.close()
    this.#descriptor = descriptor
    const { socket } = SocketLevel
    this.#native.setOptionInteger(descriptor, socket, SocketOption.sendBuffer, SEND_BUFFER_BYTES)
  }

  /**
   * Detaches the socket and returns it, still open; -1 if there was none. Bytes received but not handed out, or waiting
   * to be sent, are lost.
   */
  detach(): number {
    const descriptor = this.#descriptor
    this.#descriptor = -1
    this.#end = undefined
    this.#splitter.reset()
    this.#backlog.clear()
    return descriptor
  }

  /**
   * See `Link.receive`. Returns 0 while no hypervisor is attached, and a negative number once the stream has ended;
   * {@link StreamLink.end} has the reason.
   */
  receive(batch: FrameBatch): number {
    batch.count = 0
    if (this.#descriptor < 0) return 0
    if (this.#end !== undefined) return -Errno.EPIPE
    const splitter = this.#splitter
    if (!splitter.isWaiting && splitter.badLength < 0) {
      const result = this.#read()
      if (result < 0) return isPassing(result) ? 0 : result
    }
    const count = splitter.take(batch)
    if (splitter.short !== this.#short) this.#countShort()
    if (splitter.badLength < 0) return count
    if (count > 0) {
      // The socket may not become readable again, and nobody would fetch the error.
      this.onWaiting?.()
      return count
    }
    this.#end ??= { kind: "bad length", length: splitter.badLength }
    return -Errno.EIO
  }

  /** See `Link.send`. Without a hypervisor, frames count as taken, and as dropped. */
  send(batch: FrameBatch, first: number, count: number): number {
    const last = first + count
    let index = first
    if (this.#backlog.isEmpty && this.#isOpen) index = this.#sendAtOnce(batch, first, last)
    if (!this.#isOpen) {
      if (this.#noGuest !== undefined) this.#drops?.count(this.#noGuest, last - index)
      return count
    }
    while (index < last && this.#keep(batch, index)) index++
    return index - first
  }

  /**
   * Writes waiting bytes until the socket is full; to be called when the socket is writable. Returns true if no bytes
   * wait any longer, or the stream has ended.
   */
  drain(): boolean {
    while (!this.#backlog.isEmpty) {
      const waiting = this.#backlog.length
      const sent = this.#write(this.#backlog.describe(this.#vectors))
      if (sent > 0) this.#backlog.taken(sent)
      if (sent < waiting) return this.#end !== undefined
    }
    return true
  }

  /** Detaches the hypervisor, and closes its socket. Another one may be attached later. */
  close(): void {
    const descriptor = this.detach()
    if (descriptor >= 0) this.#native.close(descriptor)
  }

  get #isOpen(): boolean {
    return this.#descriptor >= 0 && this.#end === undefined
  }

  /** Reads waiting bytes. Returns a negated errno if there were none. */
  #read(): number {
    const splitter = this.#splitter
    const room = splitter.makeRoom()
    this.#vectors.set(0, splitter.roomOffset, room)
    const length = this.#native.receiveVectors(this.#descriptor, this.#vectors.offset, 1, MessageFlag.doNotWait)
    if (length > 0) {
      splitter.filled(length)
      return length
    }
    if (isPassing(length)) return length
    this.#fail(length === 0 ? { kind: "closed" } : { kind: "failed", errno: -length })
    return length === 0 ? -Errno.EPIPE : length
  }

  /**
   * Sends frames from `first` on with as few calls as possible. Returns the index of the first frame of which no byte
   * was sent.
   */
  #sendAtOnce(batch: FrameBatch, first: number, last: number): number {
    const { view, words } = this.arena
    const vectors = this.#vectors.offset >> 2
    let index = first
    while (index < last) {
      const begin = index
      const end = Math.min(last, begin + MOST_PIECES)
      let total = 0
      for (let word = vectors; index < end; index++, word += 2) {
        const offset = batch.offset[index] - FRAME_LENGTH_BYTES
        const length = batch.length[index]
        view.setInt32(offset, length)
        words[word] = offset
        words[word + 1] = length + FRAME_LENGTH_BYTES
        total += length + FRAME_LENGTH_BYTES
      }
      const sent = this.#write(end - begin)
      if (sent < total) return this.#keepRest(batch, begin, sent)
    }
    return index
  }

  /** Keeps the rest of a frame that a write took in part. Returns the index of the frame after. */
  #keepRest(batch: FrameBatch, begin: number, sent: number): number {
    let index = begin
    let left = sent
    while (left >= batch.length[index] + FRAME_LENGTH_BYTES) left -= batch.length[index++] + FRAME_LENGTH_BYTES
    if (left === 0) return index
    this.#backlog.put(batch.offset[index] - FRAME_LENGTH_BYTES + left, batch.length[index] + FRAME_LENGTH_BYTES - left)
    this.onWaiting?.()
    return index + 1
  }

  /** Copies a frame to the backlog. Returns false if there is no room for it. */
  #keep(batch: FrameBatch, index: number): boolean {
    const offset = batch.offset[index] - FRAME_LENGTH_BYTES
    const wasEmpty = this.#backlog.isEmpty
    this.arena.view.setInt32(offset, batch.length[index])
    if (!this.#backlog.put(offset, batch.length[index] + FRAME_LENGTH_BYTES)) return false
    if (wasEmpty) this.onWaiting?.()
    return true
  }

  /** Writes the first `count` vectors at once. Returns the bytes taken; 0 also if the stream has ended. */
  #write(count: number): number {
    const sent = this.#native.sendVectors(this.#descriptor, this.#vectors.offset, count, MessageFlag.doNotWait)
    if (sent >= 0) return sent
    if (!isPassing(sent)) {
      this.#fail({ kind: "failed", errno: -sent })
      this.onWaiting?.()
    }
    return 0
  }

  #fail(end: StreamEnd): void {
    this.#end = end
    this.#backlog.clear()
  }

  #countShort(): void {
    const { short } = this.#splitter
    if (this.#shortFrame !== undefined) this.#drops?.count(this.#shortFrame, short - this.#short)
    this.#short = short
  }
}

/** True for an error after which the call is to be retried: the stream goes on. */
function isPassing(errno: number): boolean {
  return errno === -Errno.EAGAIN || errno === -Errno.ENOBUFS || errno === -Errno.ENOMEM
}
