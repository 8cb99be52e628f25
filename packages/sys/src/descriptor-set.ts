/** A set of descriptors. A number names another socket once the one that had it was closed: whoever opens one says what it is. */
export class DescriptorSet {
  #members = new Uint8Array(1024)

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
