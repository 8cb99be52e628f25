// A link that costs nothing: its frames are always ready, and it accepts everything.
import { Arena, MacAddress } from "@demiflow/core"
import { tapArenaBytes } from "@demiflow/tap"

const HEADROOM = 12
/** Bytes for the guest's frames, and for what protocols reserve. */
const MORE_BYTES = 16 << 20

export const ourMac = new MacAddress(0x9a55, 0x9a559a55)

/** @typedef {import("@demiflow/core").LinkCapabilities} LinkCapabilities */
/** @typedef {import("@demiflow/core").FrameBatch} FrameBatch */

/** @type {LinkCapabilities} Nothing is done for us. */
export const plain = {
  mtu: 65_520,
  headroom: HEADROOM,
  checksumOffload: false,
  tcpSegmentation: false,
  udpSegmentation: false,
}

/** @type {LinkCapabilities} All is done for us. */
export const offloads = { ...plain, checksumOffload: true, tcpSegmentation: true, udpSegmentation: true }

export class QuietLink {
  arena = new Arena(tapArenaBytes() + MORE_BYTES)
  /** @type {number[]} Where the frames of the guest are in the arena. */
  offsets = []
  /** @type {number[]} */
  #lengths = []
  /** Waiting frames. */
  waiting = 0
  /** Frames sent, and their bytes. */
  sent = 0
  sentBytes = 0
  /** @type {(offset: number, length: number) => void} Reads a frame that is sent. */
  onSent = () => {}

  /** @param {LinkCapabilities} capabilities */
  constructor(capabilities) {
    this.capabilities = capabilities
  }

  /** @param {readonly Uint8Array[]} frames What the guest sends from now on, again and again. */
  give(frames) {
    this.#lengths = frames.map(({ length }) => length)
    this.offsets = frames.map((frame) => {
      // The bytes behind the Ethernet header are aligned, as in every link.
      const offset = this.arena.reserve(frame.length + 2) + 2
      this.arena.bytes.set(frame, offset)
      return offset
    })
  }

  /** @param {FrameBatch} batch */
  receive(batch) {
    const count = Math.min(this.waiting, this.offsets.length, batch.capacity)
    for (let index = 0; index < count; index++) {
      batch.setPlain(index, this.offsets[index], this.#lengths[index])
      batch.checksumTrusted[index] = 1
    }
    batch.count = count
    this.waiting -= count
    return count
  }

  /** @param {FrameBatch} batch @param {number} first @param {number} count */
  send(batch, first, count) {
    for (let index = first; index < first + count; index++) {
      this.sentBytes = (this.sentBytes + batch.length[index]) & 0x3fffffff
      this.onSent(batch.offset[index], batch.length[index])
    }
    this.sent = (this.sent + count) & 0x3fffffff
    return count
  }

  close() {}
}
