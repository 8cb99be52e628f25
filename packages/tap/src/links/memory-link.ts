import { type Arena, Errno, type FrameBatch, type Link, type LinkCapabilities } from "@demiflow/core"

const DEFAULT_QUEUE_BYTES = 2 << 20
const DEFAULT_QUEUE_FRAMES = 1024
const ALIGNMENT = 64

const PLAIN: LinkCapabilities = {
  mtu: 1500,
  headroom: 0,
  checksumOffload: false,
  tcpSegmentation: false,
  udpSegmentation: false,
}

/** Options of a pair of memory links. */
export interface MemoryLinkOptions {
  /** Capabilities of both ends; MTU 1500 and no offloads if not given. */
  readonly capabilities?: Partial<LinkCapabilities>
  /** Most bytes of frames waiting at each end, reserved in its arena; 2 MiB if not given. */
  readonly queueBytes?: number
  /** Most frames waiting at each end; 1,024 if not given. */
  readonly queueFrames?: number
}

/**
 * Returns two links, each the other's guest: one receives what the other sends. For tests, examples, and guests in the
 * same program, such as an emulator in a browser. Frames are copied once.
 *
 * @param first arena of the first end
 * @param second arena of the second end, which may be the same one
 */
export function memoryLinkPair(first: Arena, second: Arena, options: MemoryLinkOptions = {}): [MemoryLink, MemoryLink] {
  const a = new MemoryLink(first, options)
  const b = new MemoryLink(second, options)
  a.connect(b)
  b.connect(a)
  return [a, b]
}

/** One end of a {@link memoryLinkPair}. */
export class MemoryLink implements Link {
  readonly arena: Arena
  readonly capabilities: LinkCapabilities
  /** Called when a frame arrives and none was waiting: corresponds to a readable descriptor of other links. */
  onReadable: (() => void) | undefined = undefined
  /** A ring of frames that have arrived and wait. */
  readonly #frames: FrameRing
  #other: MemoryLink | undefined
  #isClosed = false

  constructor(arena: Arena, options: MemoryLinkOptions = {}) {
    this.arena = arena
    this.capabilities = { ...PLAIN, ...options.capabilities }
    const { queueBytes = DEFAULT_QUEUE_BYTES, queueFrames = DEFAULT_QUEUE_FRAMES } = options
    this.#frames = new FrameRing(arena, queueBytes, queueFrames)
  }

  /** Makes `other` the end that receives what this one sends. */
  connect(other: MemoryLink): void {
    this.#other = other
  }

  /** Number of frames waiting. */
  get waiting(): number {
    return this.#frames.waiting
  }

  get isOver(): boolean {
    return this.#isClosed || this.#other === undefined
  }

  receive(batch: FrameBatch): number {
    const count = this.#frames.take(batch)
    return count === 0 && this.isOver ? -Errno.EPIPE : count
  }

  send(batch: FrameBatch, first: number, count: number): number {
    const other = this.#other
    if (this.#isClosed || other === undefined) return count
    const wasEmpty = other.#frames.waiting === 0
    let taken = 0
    while (taken < count && other.#frames.put(this.arena, batch, first + taken)) taken++
    if (wasEmpty && taken > 0) other.onReadable?.()
    return taken
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    const other = this.#other
    this.#other = undefined
    if (other === undefined) return
    other.#other = undefined
    other.onReadable?.()
  }
}

/** Frames in order of arrival, their bytes in a ring buffer in the arena. */
class FrameRing {
  readonly #arena: Arena
  readonly #start: number
  readonly #end: number
  readonly #capacity: number
  readonly #offset: Int32Array
  readonly #length: Int32Array
  readonly #segmentation: Uint8Array
  readonly #segmentSize: Int32Array
  readonly #headerLength: Int32Array
  readonly #checksumStart: Int32Array
  readonly #checksumOffset: Int32Array
  #first = 0
  #count = 0
  /** Of these, the frames that the receiver holds until its next call. */
  #shown = 0
  #next: number

  constructor(arena: Arena, bytes: number, frames: number) {
    this.#arena = arena
    this.#start = arena.reserve(bytes, ALIGNMENT, "a memory link")
    this.#end = this.#start + bytes
    this.#next = this.#start
    this.#capacity = frames
    this.#offset = new Int32Array(frames)
    this.#length = new Int32Array(frames)
    this.#segmentation = new Uint8Array(frames)
    this.#segmentSize = new Int32Array(frames)
    this.#headerLength = new Int32Array(frames)
    this.#checksumStart = new Int32Array(frames)
    this.#checksumOffset = new Int32Array(frames)
  }

  get waiting(): number {
    return this.#count - this.#shown
  }

  put(from: Arena, batch: FrameBatch, index: number): boolean {
    const length = batch.length[index]
    const offset = this.#count < this.#capacity ? this.#place(length) : -1
    if (offset < 0) return false
    if (from === this.#arena) from.copy(batch.offset[index], offset, length)
    else {
      const source = batch.offset[index]
      this.#arena.bytes.set(from.bytes.subarray(source, source + length), offset)
    }
    const slot = (this.#first + this.#count) % this.#capacity
    this.#offset[slot] = offset
    this.#length[slot] = length
    this.#segmentation[slot] = batch.segmentation[index]
    this.#segmentSize[slot] = batch.segmentSize[index]
    this.#headerLength[slot] = batch.headerLength[index]
    this.#checksumStart[slot] = batch.checksumStart[index]
    this.#checksumOffset[slot] = batch.checksumOffset[index]
    this.#count++
    return true
  }

  take(batch: FrameBatch): number {
    this.#first = (this.#first + this.#shown) % this.#capacity
    this.#count -= this.#shown
    const count = Math.min(this.#count, batch.capacity)
    for (let index = 0; index < count; index++) {
      const slot = (this.#first + index) % this.#capacity
      batch.setPlain(index, this.#offset[slot], this.#length[slot])
      batch.segmentation[index] = this.#segmentation[slot]
      batch.segmentSize[index] = this.#segmentSize[slot]
      batch.headerLength[index] = this.#headerLength[slot]
      batch.checksumStart[index] = this.#checksumStart[slot]
      batch.checksumOffset[index] = this.#checksumOffset[slot]
      batch.checksumTrusted[index] = this.#checksumStart[slot] > 0 ? 1 : 0
    }
    batch.count = count
    this.#shown = count
    return count
  }

  /**
   * Finds room for a frame behind the newest one, or at the start if the oldest one leaves enough; -1 if there is none.
   */
  #place(length: number): number {
    const size = Math.max(ALIGNMENT, (length + ALIGNMENT - 1) & -ALIGNMENT)
    if (this.#count === 0) return this.#advance(this.#start, size, this.#end + 1)
    const oldest = this.#offset[this.#first]
    // A frame may not end where the oldest begins, or the ring would seem empty.
    if (this.#next < oldest) return this.#advance(this.#next, size, oldest)
    if (this.#next + size <= this.#end) return this.#advance(this.#next, size, this.#end + 1)
    return this.#advance(this.#start, size, oldest)
  }

  #advance(offset: number, size: number, limit: number): number {
    if (offset + size >= limit) return -1
    this.#next = offset + size
    return offset
  }
}
