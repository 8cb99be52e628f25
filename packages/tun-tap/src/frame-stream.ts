/** Frames one by one, each as its own bytes, on libuv's loop: the simple way to use a device. */
import { type Arena, Errno } from "@demiflow/core"
import type { DeviceParts } from "./device-parts.ts"
import { isAboutOneFrame, systemError, TunTapError } from "./errors.ts"
import { FRAME_ROOM } from "./frame-io.ts"

/** Frames read by one native call. */
const BATCH = 8
/** Most frames that wait for a reader; further ones stay in the kernel. */
const QUEUE_LIMIT = 256
const LENGTHS_BYTES = 64
const SPACE = LENGTHS_BYTES + (BATCH + 1) * FRAME_ROOM

const EIO = 5

/** Arena space of closed devices, by arena, for reuse: what is reserved in an arena is never given back. */
const freeSpaces = new WeakMap<Arena, number[]>()

function takeSpace(arena: Arena): number {
  return freeSpaces.get(arena)?.pop() ?? arena.reserve(SPACE, 64, "a stream of frames")
}

function giveSpace(arena: Arena, offset: number): void {
  const spaces = freeSpaces.get(arena)
  if (spaces === undefined) freeSpaces.set(arena, [offset])
  else spaces.push(offset)
}

/** Implements `read` and `write` of `TunTapDevice`. */
export class FrameStream {
  readonly #device: DeviceParts
  readonly #space: number
  readonly #poll: number
  readonly #queue: Uint8Array[] = []
  readonly #waiting: ((frame: Uint8Array | undefined) => void)[] = []
  #isPolling = false
  #hasEnded = false

  constructor(device: DeviceParts) {
    this.#device = device
    this.#poll = device.native.pollOpen(device.descriptor, () => this.#readSome())
    if (this.#poll < 0) throw systemError(`watch the device "${device.name}"`, this.#poll)
    this.#space = takeSpace(device.arena)
  }

  read(): Promise<Uint8Array | undefined> {
    const frame = this.#queue.shift()
    if (frame !== undefined || this.#hasEnded) return Promise.resolve(frame)
    this.#setPolling(true)
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  write(frame: Uint8Array): boolean {
    const { native, arena, descriptor, name } = this.#device
    if (frame.length > FRAME_ROOM) {
      throw new TunTapError("ERR_TUN_TAP_MISUSE", `A frame has at most ${FRAME_ROOM} bytes, not ${frame.length}`)
    }
    const offset = this.#space + LENGTHS_BYTES + BATCH * FRAME_ROOM
    arena.bytes.set(frame, offset)
    const written = native.write(descriptor, offset, frame.length)
    if (written === -Errno.EAGAIN || written === -Errno.ENOBUFS) return false
    if (written === -EIO) {
      throw new TunTapError("ERR_TUN_TAP_SYSTEM", `The interface "${name}" is down: set it up first`, EIO)
    }
    if (written < 0) throw systemError(`write ${frame.length} bytes to the device "${name}"`, written)
    return true
  }

  close(): void {
    this.#end()
    this.#device.native.pollClose(this.#poll)
    giveSpace(this.#device.arena, this.#space)
  }

  #readSome(): void {
    const { native, arena, descriptor } = this.#device
    const frames = this.#space + LENGTHS_BYTES
    const count = native.readFrames(descriptor, frames, FRAME_ROOM, BATCH, this.#space)
    if (count < 0) {
      this.#end()
      return
    }
    let offset = frames
    for (let index = 0; index < count; index++) {
      const length = arena.words[(this.#space >> 2) + index]
      if (length < 0) {
        if (!isAboutOneFrame(-length)) this.#end()
        break
      }
      this.#deliver(arena.bytes.slice(offset, offset + length))
      offset += (length + 63) & -64
    }
    if (this.#waiting.length === 0 && this.#queue.length >= QUEUE_LIMIT) this.#setPolling(false)
  }

  #deliver(frame: Uint8Array): void {
    const waiting = this.#waiting.shift()
    if (waiting === undefined) this.#queue.push(frame)
    else waiting(frame)
  }

  #setPolling(polling: boolean): void {
    if (this.#isPolling === polling) return
    this.#isPolling = polling
    this.#device.native.pollSet(this.#poll, polling ? 1 : 0)
  }

  #end(): void {
    this.#hasEnded = true
    this.#setPolling(false)
    for (const waiting of this.#waiting.splice(0)) waiting(undefined)
  }
}
