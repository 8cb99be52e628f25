import { Dhcpv4Option } from "./wire.ts"

/** Where one piece of an option lies: code, first byte, end. */
const FIELDS = 3

/**
 * The options of a message as they lie in its fields, before those of one code are put together (RFC 3396, section 7).
 *
 * A message may repeat an option thousands of times, and the guest is free to send such: what is put together is copied
 * once, when its length is known, so that the work is bounded by the message's length.
 */
export class OptionPieces {
  readonly #bytes: Uint8Array
  /** Numbers one behind the other, {@link FIELDS} to a piece. */
  readonly #pieces: number[] = []

  /** @param bytes the message */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Notes the options between two offsets; false if one reaches beyond. A missing end option is no mistake. */
  collect(start: number, end: number): boolean {
    const bytes = this.#bytes
    let position = start
    while (position < end) {
      const code = bytes[position++]
      if (code === Dhcpv4Option.pad) continue
      if (code === Dhcpv4Option.end) return true
      if (position >= end) return false
      const first = position + 1
      const next = first + bytes[position]
      if (next > end) return false
      this.#pieces.push(code, first, next)
      position = next
    }
    return true
  }

  /** Values by code, copied, in the order in which codes were met first. */
  join(): Map<number, Uint8Array> {
    const pieces = this.#pieces
    const options = new Map<number, Uint8Array>()
    const lengths = new Uint32Array(256)
    for (let at = 0; at < pieces.length; at += FIELDS) lengths[pieces[at]] += pieces[at + 2] - pieces[at + 1]
    const filled = new Uint32Array(256)
    for (let at = 0; at < pieces.length; at += FIELDS) {
      const code = pieces[at]
      const value = options.get(code) ?? new Uint8Array(lengths[code])
      if (!options.has(code)) options.set(code, value)
      for (let from = pieces[at + 1]; from < pieces[at + 2]; from++) value[filled[code]++] = this.#bytes[from]
    }
    return options
  }
}
