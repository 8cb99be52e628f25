const SMALLEST_BYTES = 16 << 10
/**
 * A larger buffer is given back once it is empty, and replaced by a smaller one once a quarter or less of it is used.
 */
const KEPT_BYTES = 64 << 10
const NOTHING = new Uint8Array(0)

/**
 * Bytes in order, copied in at one end and out at the other. One piece of memory, however small the pieces were that
 * they arrived in; it grows and shrinks with their number.
 */
export class ByteRing {
  #bytes: Uint8Array = NOTHING
  #start = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  /**
   * Bytes of memory for what the ring has; 0 if that is nothing, though up to 64 KiB may be kept for what comes next.
   */
  get heldBytes(): number {
    return this.#length === 0 ? 0 : this.#bytes.length
  }

  push(bytes: Uint8Array): void {
    if (this.#length + bytes.length > this.#bytes.length) this.#grow(this.#length + bytes.length)
    const ring = this.#bytes
    const at = (this.#start + this.#length) & (ring.length - 1)
    const first = Math.min(bytes.length, ring.length - at)
    ring.set(first === bytes.length ? bytes : bytes.subarray(0, first), at)
    if (first < bytes.length) ring.set(bytes.subarray(first), 0)
    this.#length += bytes.length
  }

  /** Copies up to `length` bytes from `skip` on into `into` at `offset`. Returns their number. */
  copy(skip: number, into: Uint8Array, offset: number, length: number): number {
    const count = Math.max(0, Math.min(length, this.#length - skip))
    if (count === 0) return 0
    const ring = this.#bytes
    const at = (this.#start + skip) & (ring.length - 1)
    const first = Math.min(count, ring.length - at)
    into.set(ring.subarray(at, at + first), offset)
    if (first < count) into.set(ring.subarray(0, count - first), offset + first)
    return count
  }

  /** Drops up to `length` bytes at the front. Returns their number. */
  drop(length: number): number {
    const dropped = Math.min(length, this.#length)
    this.#length -= dropped
    this.#start = this.#length === 0 ? 0 : (this.#start + dropped) & (this.#bytes.length - 1)
    if (this.#bytes.length > KEPT_BYTES && this.#length <= this.#bytes.length / 4) this.#shrink()
    return dropped
  }

  /** Drops all bytes, and their memory. */
  clear(): void {
    this.#bytes = NOTHING
    this.#start = 0
    this.#length = 0
  }

  #grow(needed: number): void {
    let size = Math.max(SMALLEST_BYTES, this.#bytes.length)
    while (size < needed) size *= 2
    this.#moveTo(new Uint8Array(size))
  }

  /** Half of the smaller ring is free, and more than a quarter of it used: the next move is far off. */
  #shrink(): void {
    if (this.#length === 0) {
      this.#bytes = NOTHING
      return
    }
    let size = KEPT_BYTES
    while (size < 2 * this.#length) size *= 2
    this.#moveTo(new Uint8Array(size))
  }

  #moveTo(ring: Uint8Array): void {
    this.copy(0, ring, 0, this.#length)
    this.#bytes = ring
    this.#start = 0
  }
}
