/**
 * A set of descriptors. The kernel reuses a closed socket's number, so every opener must add or remove its descriptor.
 */
export class DescriptorSet {
  #members = new Uint8Array(64)

  has(descriptor: number): boolean {
    return this.#members[descriptor] === 1
  }

  add(descriptor: number): void {
    if (descriptor >= this.#members.length) this.#grow(descriptor + 1)
    this.#members[descriptor] = 1
  }

  delete(descriptor: number): void {
    if (descriptor < this.#members.length) this.#members[descriptor] = 0
  }

  #grow(least: number): void {
    const larger = new Uint8Array(Math.max(least, this.#members.length * 2))
    larger.set(this.#members)
    this.#members = larger
  }
}
