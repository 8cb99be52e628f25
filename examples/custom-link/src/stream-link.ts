/**
 * A link over any Node.js stream: each Ethernet frame behind its length in four bytes, most significant first. QEMU's
 * `-netdev stream` uses the same format over a socket.
 *
 * It shows three rules of the interface. Frames are received into places in the arena and stay there until the next
 * call. A full stream accepts a part, and the rest is offered again. The owner of the loop is called when there is
 * work.
 */
import type { Duplex } from "node:stream"
import {
  type Arena,
  Errno,
  ETHERNET_HEADER_LENGTH,
  type FrameBatch,
  type Link,
  type LinkCapabilities,
} from "@demiflow/core"

/** Options of the link. */
export interface StreamLinkOptions {
  /** Largest IP packet, bytes; 1,500 by default. */
  readonly mtu?: number
  /** Called when frames wait, when there is room again, and when the other end is gone. */
  readonly onReady?: () => void
}

const LENGTH_BYTES = 4
/** Maximum number of frames that one call receives. */
const SLOTS = 32

/** A frontend over a stream. */
export class StreamLink implements Link {
  readonly arena: Arena
  readonly capabilities: LinkCapabilities
  /** Frames that were too large or too small, and were dropped. */
  dropped = 0
  readonly #stream: Duplex
  readonly #slots: number
  readonly #slotSize: number
  /** Bytes that have arrived and make no whole frame yet. */
  #rest: Buffer = Buffer.alloc(0)
  readonly #waiting: Buffer[] = []
  #isGone = false

  /** Reserves room for 32 frames of the arena. */
  constructor(arena: Arena, stream: Duplex, options: StreamLinkOptions = {}) {
    const mtu = options.mtu ?? 1_500
    this.arena = arena
    this.capabilities = {
      mtu,
      headroom: 0,
      checksumOffload: false,
      tcpSegmentation: false,
      udpSegmentation: false,
    }
    this.#stream = stream
    this.#slotSize = (mtu + ETHERNET_HEADER_LENGTH + 63) & ~63
    this.#slots = arena.reserve(SLOTS * this.#slotSize)
    const onReady = options.onReady ?? (() => {})
    stream.on("data", (piece: Buffer) => {
      this.#take(piece)
      onReady()
    })
    stream.on("drain", onReady)
    // An error is followed by "close".
    stream.on("error", () => {})
    for (const end of ["end", "close"]) {
      stream.on(end, () => {
        this.#isGone = true
        onReady()
      })
    }
  }

  receive(batch: FrameBatch): number {
    const count = Math.min(this.#waiting.length, batch.capacity, SLOTS)
    for (let index = 0; index < count; index++) {
      const frame = this.#waiting[index]
      const offset = this.#slots + index * this.#slotSize
      this.arena.bytes.set(frame, offset)
      batch.setPlain(index, offset, frame.length)
    }
    this.#waiting.splice(0, count)
    batch.count = count
    return count === 0 && this.#isGone ? -Errno.EPIPE : count
  }

  send(batch: FrameBatch, first: number, count: number): number {
    if (this.#isGone) return count
    for (let taken = 0; taken < count; taken++) {
      // The stream is full: the rest may be offered again once it has drained.
      if (this.#stream.writableNeedDrain) return taken
      const offset = batch.offset[first + taken]
      const length = batch.length[first + taken]
      // The stream keeps its chunks, and the arena is reused: this is the only copy.
      const message = Buffer.allocUnsafe(LENGTH_BYTES + length)
      message.writeUInt32BE(length)
      message.set(this.arena.bytes.subarray(offset, offset + length), LENGTH_BYTES)
      this.#stream.write(message)
    }
    return count
  }

  close(): void {
    this.#isGone = true
    this.#waiting.length = 0
    this.#stream.destroy()
  }

  /** Splits the received bytes into frames. */
  #take(piece: Buffer): void {
    let bytes = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece])
    while (bytes.length >= LENGTH_BYTES) {
      const length = bytes.readUInt32BE(0)
      if (bytes.length < LENGTH_BYTES + length) break
      const frame = bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + length)
      if (length < ETHERNET_HEADER_LENGTH || length > this.#slotSize) this.dropped++
      else this.#waiting.push(frame)
      bytes = bytes.subarray(LENGTH_BYTES + length)
    }
    this.#rest = bytes
  }
}
