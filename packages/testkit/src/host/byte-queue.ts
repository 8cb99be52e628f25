/** Bytes in order, added at one end and taken from the other, as in a socket's buffer. */
export class ByteQueue {
  readonly #pieces: Uint8Array[] = []
  /** Bytes of the first piece that were dropped. */
  #gone = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  /** Adds the bytes without a copy: the caller must not change them afterwards. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.#pieces.push(bytes)
    this.#length += bytes.length
  }

  /** Copies bytes from `skip` on to `into`. Returns their number. */
  copy(skip: number, into: Uint8Array): number {
    let copied = 0
    let position = skip + this.#gone
    for (const piece of this.#pieces) {
      if (position >= piece.length) {
        position -= piece.length
        continue
      }
      const part = piece.subarray(position, position + into.length - copied)
      into.set(part, copied)
      copied += part.length
      position = 0
      if (copied === into.length) break
    }
    return copied
  }

  /** A copy of up to `length` bytes from `skip` on. */
  slice(skip: number, length: number): Uint8Array {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, this.#length - skip)))
    this.copy(skip, bytes)
    return bytes
  }

  /** Drops up to `length` bytes at the front. Returns their number. */
  drop(length: number): number {
    const dropped = Math.min(length, this.#length)
    let remaining = dropped
    while (remaining > 0) {
      const available = this.#pieces[0].length - this.#gone
      if (remaining < available) {
        this.#gone += remaining
        break
      }
      remaining -= available
      this.#pieces.shift()
      this.#gone = 0
    }
    this.#length -= dropped
    return dropped
  }

  /** Drops all bytes. */
  clear(): void {
    this.#pieces.length = 0
    this.#gone = 0
    this.#length = 0
  }
}
