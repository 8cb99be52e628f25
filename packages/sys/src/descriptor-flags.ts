/** A few bits for each descriptor: what was done to the socket that has it now. */
export class DescriptorFlags {
  #bits = new Uint8Array(1024)

  /** For a new socket: nothing yet. */
  clear(descriptor: number): void {
    if (descriptor >= this.#bits.length) this.#grow(descriptor + 1)
    this.#bits[descriptor] = 0
  }

  /** True if any of these bits was set since the last {@link DescriptorFlags.clear}. */
  has(descriptor: number, bits: number): boolean {
    return (this.#bits[descriptor] & bits) !== 0
  }

  set(descriptor: number, bits: number): void {
    this.#bits[descriptor] |= bits
  }

  #grow(least: number): void {
    const larger = new Uint8Array(Math.max(least, this.#bits.length * 2))
    larger.set(this.#bits)
    this.#bits = larger
  }
}
