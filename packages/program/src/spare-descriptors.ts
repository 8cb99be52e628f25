import type { Native } from "@demiflow/sys"

const COUNT = 64

/** Descriptors that forwarded ports must leave for connections: held while ports are opened, then released. */
export class SpareDescriptors {
  readonly #native: Pick<Native, "createEvent" | "close">
  readonly #held: number[] = []

  constructor(native: Pick<Native, "createEvent" | "close">) {
    this.#native = native
  }

  /** Returns false if there are fewer; they are held as well. */
  hold(): boolean {
    while (this.#held.length < COUNT) {
      const descriptor = this.#native.createEvent(0)
      if (descriptor < 0) return false
      this.#held.push(descriptor)
    }
    return true
  }

  release(): void {
    for (const descriptor of this.#held.splice(0)) this.#native.close(descriptor)
  }
}
