import { type Arena, type FrameBatch, type Link, type LinkCapabilities, type Log, Segmentation } from "@demiflow/core"
import { describeFrame } from "./packet-text.ts"

/** A link that logs one line for each frame that passes through another one, while the log takes traces. */
export class Tracer implements Link {
  readonly arena: Arena
  readonly capabilities: LinkCapabilities
  readonly #link: Link
  readonly #log: Log

  constructor(link: Link, log: Log) {
    this.arena = link.arena
    this.capabilities = link.capabilities
    this.#link = link
    this.#log = log
  }

  get isCongested(): boolean {
    return this.#link.isCongested ?? false
  }

  get isOver(): boolean {
    return this.#link.isOver ?? false
  }

  receive(batch: FrameBatch): number {
    const count = this.#link.receive(batch)
    if (this.#log.isTrace) this.#trace("from guest", batch, 0, count)
    return count
  }

  send(batch: FrameBatch, first: number, count: number): number {
    const taken = this.#link.send(batch, first, count)
    if (this.#log.isTrace) this.#trace("to guest", batch, first, taken)
    return taken
  }

  close(): void {
    this.#link.close()
  }

  #trace(direction: string, batch: FrameBatch, first: number, count: number): void {
    for (let index = first; index < first + count; index++) {
      const text = describeFrame(this.arena.view, batch.offset[index], batch.length[index])
      const isWhole = batch.segmentation[index] === Segmentation.none
      const segments = isWhole ? "" : ` in segments of ${batch.segmentSize[index]}`
      this.#log.trace(`${direction}: ${text}${segments}`)
    }
  }
}
