import type { Arena, FrameBatch, Link, LinkCapabilities } from "@demiflow/core"

/** A link that counts what passes through another. */
export class CountingLink implements Link {
  readonly arena: Arena
  readonly capabilities: LinkCapabilities
  framesFromGuest = 0
  bytesFromGuest = 0
  framesToGuest = 0
  bytesToGuest = 0
  readonly #link: Link

  constructor(link: Link) {
    this.arena = link.arena
    this.capabilities = link.capabilities
    this.#link = link
  }

  get isCongested(): boolean {
    return this.#link.isCongested ?? false
  }

  get isOver(): boolean {
    return this.#link.isOver ?? false
  }

  receive(batch: FrameBatch): number {
    const count = this.#link.receive(batch)
    if (count < 0) return count
    this.framesFromGuest += count
    for (let index = 0; index < count; index++) this.bytesFromGuest += batch.length[index]
    return count
  }

  send(batch: FrameBatch, first: number, count: number): number {
    const taken = this.#link.send(batch, first, count)
    this.framesToGuest += taken
    for (let index = first; index < first + taken; index++) this.bytesToGuest += batch.length[index]
    return taken
  }

  close(): void {
    this.#link.close()
  }
}
