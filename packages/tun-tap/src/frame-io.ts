/**
 * Moves frames in batches between a device and the arena.
 *
 * Reading begins with one frame at a time: a device that answers a request has one frame, and probing for a second
 * costs a system call that finds nothing. Only while batch after batch comes back full does the number of frames
 * requested double; a batch that isn't full determines the next number. Nothing is lost by requesting few: a descriptor
 * with more frames stays readable.
 */
import { Errno, type FrameBatch, Vectors } from "@demiflow/core"
import { readVirtioHeader, writeVirtioHeader } from "@demiflow/sys"
import type { DeviceParts } from "./device-parts.ts"
import { isAboutOneFrame } from "./errors.ts"

/** Room for the longest frame: 65,535 bytes of IP, Ethernet header, VLAN tag, virtio header; and a multiple of 64. */
export const FRAME_ROOM = 65_664
/** Most frames moved by one native call. */
const LARGEST_BATCH = 64
/** Single frames in a row before two are requested. */
const PATIENCE = 8
/** Reads in a row that fail for a single frame, after which the device counts as broken: it would stay readable. */
const FAILURE_LIMIT = 1_000

/** Reads and writes one device's frames. Its arena space is reserved for good, so create one for a device's life. */
export class FrameIo {
  readonly #device: DeviceParts
  readonly #frames: number
  readonly #lengths: number
  readonly #vectors: Vectors
  readonly #batchLimit: number
  #ask = 1
  #fullInRow = 0
  #refused = 0
  #unread = 0
  #failuresInRow = 0

  /** @param batchLimit most frames of one read: {@link FRAME_ROOM} arena bytes are reserved for each */
  constructor(device: DeviceParts, batchLimit: number = LARGEST_BATCH) {
    const { arena } = device
    this.#device = device
    this.#batchLimit = Math.max(1, Math.min(batchLimit, LARGEST_BATCH))
    this.#frames = arena.reserve(this.#batchLimit * FRAME_ROOM, 64, "batches of a TUN or TAP device")
    this.#lengths = arena.reserve(this.#batchLimit * 4, 64, "a tap device")
    this.#vectors = new Vectors(arena, LARGEST_BATCH)
  }

  /** The number of frames that the kernel refused, because of their content or because the device is down. */
  get refused(): number {
    return this.#refused
  }

  /** The number of frames that could not be read. */
  get unread(): number {
    return this.#unread
  }

  /** Arena bytes that a `FrameIo` reserves. */
  static arenaBytes(batchLimit: number = LARGEST_BATCH): number {
    return batchLimit * (FRAME_ROOM + 4) + LARGEST_BATCH * 8 + 3 * 64
  }

  /**
   * Fills the batch with waiting frames, which stay valid until the next call. A frame that can't be read is skipped.
   * Returns the count, 0 if none waits, or a negated errno when the device is gone for good, for example deleted.
   */
  receive(batch: FrameBatch): number {
    const { native, arena, descriptor, virtioHeaderBytes } = this.#device
    const asked = Math.min(this.#ask, this.#batchLimit, batch.capacity)
    const count = native.readFrames(descriptor, this.#frames, FRAME_ROOM, asked, this.#lengths)
    batch.count = 0
    if (count < 0) return count
    this.#learn(count, asked)
    let offset = this.#frames
    let kept = 0
    for (let index = 0; index < count; index++) {
      const length = arena.words[(this.#lengths >> 2) + index]
      // The failure is always the last entry. Frames before it are handed out first; a device that is gone fails again.
      if (length < 0 && !this.#passOver(-length) && kept === 0) return length
      if (length > virtioHeaderBytes) {
        batch.setPlain(kept, offset + virtioHeaderBytes, length - virtioHeaderBytes)
        if (virtioHeaderBytes > 0) readVirtioHeader(arena.view, offset, batch, kept)
        kept += 1
      }
      offset += (length + 63) & -64
    }
    batch.count = kept
    if (kept > 0) this.#failuresInRow = 0
    return kept
  }

  /**
   * Writes frames `first` to `first + count - 1` to the kernel. With a virtio header, that many bytes before each are
   * overwritten. Returns how many were taken: fewer only when the kernel has no room now. Refused frames count as
   * taken.
   */
  send(batch: FrameBatch, first: number, count: number): number {
    let taken = 0
    while (taken < count) {
      const some = Math.min(count - taken, LARGEST_BATCH)
      this.#prepare(batch, first + taken, some)
      const written = this.#write(some)
      taken += written
      if (written < some) break
    }
    return taken
  }

  #prepare(batch: FrameBatch, first: number, count: number): void {
    const { arena, virtioHeaderBytes } = this.#device
    for (let index = 0; index < count; index++) {
      const at = batch.offset[first + index] - virtioHeaderBytes
      if (virtioHeaderBytes > 0) writeVirtioHeader(arena.view, at, virtioHeaderBytes, batch, first + index)
      this.#vectors.set(index, at, batch.length[first + index] + virtioHeaderBytes)
    }
  }

  /** Writes the first `count` vectors, skipping refused ones. Returns how many were taken or refused. */
  #write(count: number): number {
    const { native, descriptor } = this.#device
    let done = 0
    while (done < count) {
      const written = native.writeFrames(descriptor, this.#vectors.offset + done * 8, count - done)
      if (written >= 0) done += written
      else if (written === -Errno.EAGAIN) break
      else {
        this.#refused += 1
        done += 1
      }
    }
    return done
  }

  /** Counts a frame that could not be read. Returns false if the device is gone. */
  #passOver(errno: number): boolean {
    if (!isAboutOneFrame(errno) || this.#failuresInRow >= FAILURE_LIMIT) return false
    this.#unread += 1
    this.#failuresInRow += 1
    return true
  }

  #learn(count: number, asked: number): void {
    if (count < asked) {
      this.#ask = Math.max(1, count)
      this.#fullInRow = 0
      return
    }
    this.#fullInRow += 1
    if (this.#ask > 1 || this.#fullInRow >= PATIENCE) this.#ask = Math.min(asked * 2, this.#batchLimit)
  }
}
