import type { Arena, FrameBatch, Link, LinkCapabilities } from "@demiflow/core"
import { completeFrame } from "./complete-frame.ts"

const MAGIC_MICROSECONDS = 0xa1b2c3d4
const LINK_TYPE_ETHERNET = 1
const FILE_HEADER_BYTES = 24
const RECORD_HEADER_BYTES = 16
const BUFFER_BYTES = 256 << 10
/** The largest frame with offloads: an IP packet of 65,535 bytes and the headers around it, with a margin. */
const LARGEST_FRAME = 65_535 + 40 + 18

/** Destination of a capture's bytes. They are valid only during the call. */
export interface CaptureSink {
  write(bytes: Uint8Array): void
}

/** Calendar time. */
export interface WallClock {
  /** Microseconds since 1970-01-01 00:00 UTC, an integer. */
  readonly microseconds: number
}

/**
 * A link that records all frames that pass through another one, in both directions, in the format of libpcap (version
 * 2.4, link type Ethernet, microseconds, little endian).
 *
 * Frames are recorded as the link moves them: if it cuts frames and completes checksums, one frame stands for many and
 * may be larger than the MTU. Checksums are completed in the capture, so that they don't appear wrong. Frames to the
 * guest are recorded once the link has taken them.
 */
export class PacketCapture implements Link {
  readonly arena: Arena
  readonly capabilities: LinkCapabilities
  readonly #link: Link
  readonly #sink: CaptureSink
  readonly #clock: WallClock
  readonly #snapshotLength: number
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #used = 0

  /**
   * Writes the file's header.
   *
   * @param snapshotLength bytes kept of each frame, 1 to 65,593
   */
  constructor(link: Link, sink: CaptureSink, clock: WallClock, snapshotLength: number = LARGEST_FRAME) {
    if (!(snapshotLength >= 1 && snapshotLength <= LARGEST_FRAME)) {
      throw new RangeError(`The snapshot length is ${snapshotLength}: it must be from 1 to ${LARGEST_FRAME}`)
    }
    this.arena = link.arena
    this.capabilities = link.capabilities
    this.#link = link
    this.#sink = sink
    this.#clock = clock
    this.#snapshotLength = snapshotLength
    this.#bytes = new Uint8Array(BUFFER_BYTES)
    this.#view = new DataView(this.#bytes.buffer)
    this.#writeFileHeader()
    this.#flush()
  }

  get isCongested(): boolean {
    return this.#link.isCongested ?? false
  }

  get isOver(): boolean {
    return this.#link.isOver ?? false
  }

  receive(batch: FrameBatch): number {
    const count = this.#link.receive(batch)
    if (count > 0) this.#capture(batch, 0, count)
    return count
  }

  send(batch: FrameBatch, first: number, count: number): number {
    const taken = this.#link.send(batch, first, count)
    if (taken > 0) this.#capture(batch, first, taken)
    return taken
  }

  close(): void {
    this.#link.close()
  }

  #capture(batch: FrameBatch, first: number, count: number): void {
    const now = this.#clock.microseconds
    const seconds = Math.floor(now / 1e6)
    const microseconds = now - seconds * 1e6
    for (let index = first; index < first + count; index++) this.#record(batch, index, seconds, microseconds)
    this.#flush()
  }

  #record(batch: FrameBatch, index: number, seconds: number, microseconds: number): void {
    const offset = batch.offset[index]
    const length = batch.length[index]
    // The checksum is completed over the whole frame, before it is truncated: there must be room for that.
    const room = Math.min(length, LARGEST_FRAME)
    if (this.#used + RECORD_HEADER_BYTES + room > BUFFER_BYTES) this.#flush()
    const record = this.#used
    const start = record + RECORD_HEADER_BYTES
    const frame = this.#bytes.subarray(start, start + room)
    frame.set(this.arena.bytes.subarray(offset, offset + room))
    completeFrame(frame, batch.checksumStart[index], batch.checksumOffset[index])
    const kept = Math.min(room, this.#snapshotLength)
    this.#view.setUint32(record, seconds, true)
    this.#view.setUint32(record + 4, microseconds, true)
    this.#view.setUint32(record + 8, kept, true)
    this.#view.setUint32(record + 12, length, true)
    this.#used = start + kept
  }

  #writeFileHeader(): void {
    const view = this.#view
    view.setUint32(0, MAGIC_MICROSECONDS, true)
    view.setUint16(4, 2, true)
    view.setUint16(6, 4, true)
    view.setInt32(8, 0, true)
    view.setUint32(12, 0, true)
    view.setUint32(16, this.#snapshotLength, true)
    view.setUint32(20, LINK_TYPE_ETHERNET, true)
    this.#used = FILE_HEADER_BYTES
  }

  #flush(): void {
    if (this.#used > 0) this.#sink.write(this.#bytes.subarray(0, this.#used))
    this.#used = 0
  }
}
