import { setImmediate } from "node:timers/promises"
import { Arena, FrameBatch } from "@demiflow/core"
import { type PacketLink, type PacketLinkSizes, packetLinkArenaBytes } from "./packet-link.ts"

/** What the suite for frontends asks of the arena, beside the link. */
const SPARE_BYTES = 2 << 20

/** An arena for one link, with room to spare. */
export function arenaFor(sizes: PacketLinkSizes = {}, links = 1): Arena {
  return new Arena(((packetLinkArenaBytes(sizes) * links + SPARE_BYTES + 63) & -64) >>> 0)
}

/** A frame of this length, filled with a byte that distinguishes it. */
export function frameOf(length: number, fill = 0): Uint8Array {
  return new Uint8Array(length).fill(fill)
}

const BATCH = 64

/** The stack's end of a link, with frames as byte arrays. */
export class StackEnd {
  readonly link: PacketLink
  readonly #batch = new FrameBatch(BATCH)
  readonly #space: number

  /** Reserves 128 KiB of the link's arena. */
  constructor(link: PacketLink) {
    this.link = link
    this.#space = link.arena.reserve(131_072)
  }

  /** Offers one frame to the link. False if the link refused it. */
  send(frame: Uint8Array): boolean {
    this.link.arena.bytes.set(frame, this.#space)
    this.#batch.setPlain(0, this.#space, frame.length)
    const isTaken = this.link.send(this.#batch, 0, 1) === 1
    // What the link keeps, it has copied.
    this.link.arena.bytes.fill(0xee, this.#space, this.#space + frame.length)
    return isTaken
  }

  /** Copies of all frames that wait. */
  receive(): Uint8Array[] {
    const frames: Uint8Array[] = []
    while (this.link.receive(this.#batch) > 0) {
      for (let index = 0; index < this.#batch.count; index++) {
        const offset = this.#batch.offset[index]
        frames.push(this.link.arena.bytes.slice(offset, offset + this.#batch.length[index]))
      }
    }
    return frames
  }

  /** What `receive` answers when no frame waits. */
  get answer(): number {
    return this.link.receive(this.#batch)
  }
}

/** Runs the event loop until a condition holds. The test's time limit ends a loop whose condition never does. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setImmediate()
}
