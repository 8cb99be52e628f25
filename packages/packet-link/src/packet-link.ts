/**
 * The link that the others of this package are made of: frames come by a call, and leave by a call.
 *
 * From the guest, {@link PacketLink.push} copies each frame to a queue in the arena, where the stack handles it in
 * place. A frame that has no room is a counted drop. A source that can wait asks {@link PacketLink.hasRoom} first, and
 * goes on at {@link OtherEnd.onRoom}.
 *
 * Towards the guest, a frame is handed over where it lies, if the other end has room. If not, it is copied to a
 * backlog, and the link is congested until the backlog is empty again. A full backlog refuses frames.
 *
 * Both queues have a fixed size, so the other end can't make the link grow. Whatever it sends is counted, or ends the
 * link with one reason; nothing is thrown.
 */
import {
  type Arena,
  type DropReason,
  Drops,
  Errno,
  ETHERNET_HEADER_LENGTH,
  type FrameBatch,
  type Link,
  type LinkCapabilities,
} from "@demiflow/core"
import { FrameQueue, frameQueueBytes, slotBytes } from "./frame-queue.ts"
import { later } from "./later.ts"
import type { PacketLinkEnd } from "./link-end.ts"

const DEFAULT_MTU = 1500
const SMALLEST_MTU = 68
const LARGEST_MTU = 65_535
const DEFAULT_QUEUE_BYTES = 256 << 10
const DEFAULT_BACKLOG_BYTES = 2 << 20
/** Default queues hold at least this number of the longest frames. */
const FRAMES_OF_A_QUEUE = 8
/** A generous bound on the cost of alignment. */
const ALIGNMENT_BYTES = 256

/** How large frames and queues are. */
export interface PacketLinkSizes {
  /** Largest IP packet of one frame, 68–65,535 bytes; 1,500 if absent. */
  readonly mtu?: number
  /**
   * Most bytes of frames from the guest that wait for the stack; 256 KiB, or eight of the longest frames, if absent.
   */
  readonly queueBytes?: number
  /**
   * Most bytes of frames that wait for the other end, beyond those that it holds itself; 2 MiB if absent. Give the tap
   * side no more `transmitBytes` than that: what doesn't fit is refused, and lost.
   */
  readonly backlogBytes?: number
}

/** Options of every link of this package. */
export interface PacketLinkOptions extends PacketLinkSizes {
  /** Counts lost frames; if absent, the link has an instance of its own. */
  readonly drops?: Drops
  /** See {@link PacketLink.onReadable}. */
  readonly onReadable?: (() => void) | undefined
  /** See {@link PacketLink.onResume}. */
  readonly onResume?: (() => void) | undefined
  /** See {@link PacketLink.onEnd}. */
  readonly onEnd?: ((end: PacketLinkEnd) => void) | undefined
}

/** The other end, as a link calls it. If one of these functions throws, the link ends with that error. */
export interface OtherEnd {
  /** Takes a frame. Its bytes lie in the arena, and may change after the call: copy what is kept. */
  onFrame(frame: Uint8Array): void
  /**
   * True if another frame may come. If it is false, frames wait in the backlog until {@link PacketLink.resume} is
   * called. Absent: there is always room.
   */
  hasRoom?(): boolean
  /** Called after one or more frames, before the link returns to its caller. */
  flush?(): void
  /** Called when frames wait in the backlog, once until the next {@link PacketLink.resume}, which is to be called. */
  awaitRoom?(): void
  /** Called when the stack has taken this number of frames that were pushed. */
  onTaken?(count: number): void
  /**
   * Bytes that may still be pushed after {@link PacketLink.hasRoom} was false, kept free for that; half of the queue at
   * most. None if absent.
   */
  readonly bytesOnTheWay?: number
  /** Called soon after the queue has room again, if {@link PacketLink.hasRoom} was false. */
  onRoom?(): void
  /** Called once, when the link has ended or was closed. */
  onClose?(): void
}

/** Arena bytes that a link of these sizes reserves at most. */
export function packetLinkArenaBytes(sizes: PacketLinkSizes = {}): number {
  const { longest, queueBytes, backlogBytes } = resolve(sizes)
  const queue = frameQueueBytes(queueBytes, queueBytes, longest)
  return queue + frameQueueBytes(backlogBytes, slotBytes(longest), longest) + ALIGNMENT_BYTES
}

/** A link between a stack and anything that takes frames by a call. */
export class PacketLink implements Link {
  readonly arena: Arena
  readonly capabilities: LinkCapabilities
  /** Where lost frames are counted. */
  readonly drops: Drops
  /**
   * Called when a frame arrives and none was waiting, and when the link has ended: a turn of the stack is due. Frames
   * that wait then are received before the end.
   */
  onReadable: (() => void) | undefined
  /** Called when the link is no longer congested: call `Stack.resume`. */
  onResume: (() => void) | undefined
  /** Called once if the link ends by itself. Frames that have arrived before may still be received. */
  onEnd: ((end: PacketLinkEnd) => void) | undefined
  readonly #other: OtherEnd
  readonly #queue: FrameQueue
  readonly #backlog: FrameQueue
  readonly #longest: number
  /** Bytes that are free while there is room. */
  readonly #margin: number
  readonly #queueFull: DropReason
  readonly #shortFrame: DropReason
  readonly #longFrame: DropReason
  readonly #notAFrame: DropReason
  readonly #noGuest: DropReason
  #end: PacketLinkEnd | undefined
  #isClosed = false
  #isSourceWaiting = false
  #awaitsRoom = false
  #isDraining = false
  readonly #announceRoom = (): void => {
    if (!this.isOpen) return
    try {
      this.#other.onRoom?.()
    } catch (error) {
      this.finish({ kind: "failed", error })
    }
  }

  /**
   * Reserves {@link packetLinkArenaBytes} of the arena. Throws `RangeError` for an MTU out of range, or a queue that
   * holds no frame of that size, and `ArenaExhaustedError`.
   */
  constructor(arena: Arena, other: OtherEnd, options: PacketLinkOptions = {}) {
    const { mtu, longest, queueBytes, backlogBytes } = resolve(options)
    this.arena = arena
    this.capabilities = {
      mtu,
      headroom: 0,
      checksumOffload: false,
      tcpSegmentation: false,
      udpSegmentation: false,
    }
    this.drops = options.drops ?? new Drops()
    this.onReadable = options.onReadable
    this.onResume = options.onResume
    this.onEnd = options.onEnd
    this.#other = other
    this.#queue = new FrameQueue(arena, queueBytes, queueBytes, longest)
    this.#backlog = new FrameQueue(arena, backlogBytes, slotBytes(longest), longest)
    this.#longest = longest
    this.#margin = Math.max(longest, Math.min(other.bytesOnTheWay ?? 0, queueBytes >> 1))
    this.#queueFull = this.drops.reason("link: queue full")
    this.#shortFrame = this.drops.reason("link: shorter than an Ethernet header")
    this.#longFrame = this.drops.reason("link: longer than the MTU allows")
    this.#notAFrame = this.drops.reason("link: not a frame")
    this.#noGuest = this.drops.reason("link: no guest")
  }

  /** Bytes of the longest frame: the MTU and an Ethernet header. */
  get longestFrame(): number {
    return this.#longest
  }

  /** Why the link ended; undefined while it hasn't, or if it was closed from this side. */
  get end(): PacketLinkEnd | undefined {
    return this.#end
  }

  /** False once the link has ended or was closed. */
  get isOpen(): boolean {
    return this.#end === undefined && !this.#isClosed
  }

  /** See `Link`: the opposite of {@link PacketLink.isOpen}. */
  get isOver(): boolean {
    return !this.isOpen
  }

  /** True while frames wait for the other end to take them. */
  get isCongested(): boolean {
    return !this.#backlog.isEmpty
  }

  /** True if frames from the guest wait for {@link PacketLink.receive}. */
  get isFrameWaiting(): boolean {
    return !this.#queue.isEmpty
  }

  /** True if a frame of any allowed length may be pushed now. Asked and denied, {@link OtherEnd.onRoom} follows. */
  get hasRoom(): boolean {
    if (this.#queue.hasRoom(this.#margin)) return true
    this.#isSourceWaiting = true
    return false
  }

  /**
   * Takes a frame from the guest, by a copy. Returns false if it was dropped: its length isn't from 14 bytes to
   * {@link PacketLink.longestFrame}, the queue is full, or the link is no longer open.
   */
  push(frame: Uint8Array): boolean {
    const { length } = frame
    if (!this.isOpen) return false
    if (length < ETHERNET_HEADER_LENGTH) return this.#drop(this.#shortFrame)
    if (length > this.#longest) return this.#drop(this.#longFrame)
    const wasEmpty = this.#queue.isEmpty
    const offset = this.#queue.add(length)
    if (offset < 0) return this.#drop(this.#queueFull)
    this.arena.bytes.set(frame, offset)
    if (wasEmpty) this.onReadable?.()
    return true
  }

  /** Counts something from the other end that can't be a frame, a text for example. */
  countNoFrame(): void {
    if (this.isOpen) this.drops.count(this.#notAFrame)
  }

  /** Sends what waits, until the other end has no room. To be called when it has room again. */
  resume(): void {
    if (this.#isDraining || this.#backlog.isEmpty) return
    this.#isDraining = true
    this.#awaitsRoom = false
    try {
      while (this.#otherHasRoom() && this.#backlog.shift()) this.#hand(this.#backlog.offset, this.#backlog.length)
      this.#other.flush?.()
    } catch (error) {
      this.finish({ kind: "failed", error })
    }
    this.#isDraining = false
    if (!this.#backlog.isEmpty) this.#awaitRoom()
    else if (this.isOpen) {
      this.#backlog.rewind()
      this.onResume?.()
    }
  }

  /** Ends the link, because the other end is gone. Frames that it has sent before are still received. */
  finish(end: PacketLinkEnd): void {
    if (!this.isOpen) return
    this.#end = end
    this.#backlog.clear()
    this.#closeOther()
    this.onEnd?.(end)
    this.onReadable?.()
  }

  /** See `Link.receive`. Returns `-EPIPE` if the link is no longer open and no frame waits. */
  receive(batch: FrameBatch): number {
    if (this.#queue.isEmpty) {
      batch.count = 0
      this.#queue.rewind()
      return this.isOpen ? 0 : -Errno.EPIPE
    }
    const count = this.#queue.take(batch)
    if (this.isOpen) this.#reportTaken(count)
    return count
  }

  /** See `Link.send`. If the link is no longer open, frames count as taken, and as dropped. */
  send(batch: FrameBatch, first: number, count: number): number {
    const last = first + count
    let index = first
    if (this.#backlog.isEmpty && this.isOpen) index = this.#sendAtOnce(batch, first, last)
    if (!this.isOpen) {
      this.drops.count(this.#noGuest, last - index)
      return count
    }
    while (index < last && this.#keep(batch.offset[index], batch.length[index])) index++
    if (!this.#backlog.isEmpty) this.#awaitRoom()
    return index - first
  }

  /** Closes the link, and the other end. Frames that wait are lost. Later calls do nothing. */
  close(): void {
    const wasOpen = this.isOpen
    this.#isClosed = true
    this.#queue.clear()
    this.#backlog.clear()
    if (wasOpen) this.#closeOther()
  }

  #sendAtOnce(batch: FrameBatch, first: number, last: number): number {
    let index = first
    try {
      while (index < last && this.#otherHasRoom()) {
        const at = index++
        this.#hand(batch.offset[at], batch.length[at])
      }
      if (index > first) this.#other.flush?.()
    } catch (error) {
      this.finish({ kind: "failed", error })
    }
    return index
  }

  #otherHasRoom(): boolean {
    return this.isOpen && (this.#other.hasRoom?.() ?? true)
  }

  #hand(offset: number, length: number): void {
    this.#other.onFrame(this.arena.bytes.subarray(offset, offset + length))
  }

  #keep(offset: number, length: number): boolean {
    const place = this.#backlog.add(length)
    if (place < 0) return false
    this.arena.copy(offset, place, length)
    return true
  }

  #awaitRoom(): void {
    if (this.#awaitsRoom) return
    this.#awaitsRoom = true
    this.#other.awaitRoom?.()
  }

  #reportTaken(count: number): void {
    try {
      this.#other.onTaken?.(count)
    } catch (error) {
      this.finish({ kind: "failed", error })
    }
    if (!this.#isSourceWaiting || !this.#queue.hasRoom(this.#margin)) return
    this.#isSourceWaiting = false
    // Later: it may push, and what `receive` handed out is still in use.
    later(this.#announceRoom)
  }

  #drop(reason: DropReason): false {
    this.drops.count(reason)
    return false
  }

  #closeOther(): void {
    try {
      this.#other.onClose?.()
    } catch {
      // It is closed, one way or another.
    }
  }
}

function resolve(sizes: PacketLinkSizes) {
  const { mtu = DEFAULT_MTU, backlogBytes = DEFAULT_BACKLOG_BYTES } = sizes
  if (!(Number.isInteger(mtu) && mtu >= SMALLEST_MTU && mtu <= LARGEST_MTU)) {
    throw new RangeError(`The MTU is ${mtu}: it must be from ${SMALLEST_MTU} to ${LARGEST_MTU}`)
  }
  const longest = mtu + ETHERNET_HEADER_LENGTH
  const queueBytes = sizes.queueBytes ?? Math.max(DEFAULT_QUEUE_BYTES, FRAMES_OF_A_QUEUE * slotBytes(longest))
  for (const bytes of [queueBytes, backlogBytes]) {
    if (bytes >= slotBytes(longest)) continue
    throw new RangeError(`${bytes} bytes do not hold one frame of ${longest}: give the queue more`)
  }
  return { mtu, longest, queueBytes, backlogBytes }
}
