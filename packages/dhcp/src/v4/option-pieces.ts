import { Dhcpv4Option } from "./wire.ts"

/** Numbers of a piece of an option: code, offset of the first byte, end. */
const FIELDS = 3

/**
 * The options of a message as they are in its fields, before those of one code are joined (RFC 3396, section 7).
 *
 * A guest may send a message that repeats an option thousands of times. So values are copied once, when their length is
 * known: the work is bounded by the length of the message.
 */
export class OptionPieces {
  readonly #bytes: Uint8Array
  /** Numbers of the pieces, {@link FIELDS} for each. */
  readonly #pieces: number[] = []

  /** @param bytes the message */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /**
   * Collects the options between two offsets. Returns false if one extends beyond. A missing end option is no error.
   */
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

  /** Returns the values by code, copied, in the order in which the codes occur first. */
  join(): Map<number, Uint8Array> {
    const pieces = this.#pieces
    const options = new Map<number, Uint8Array>()
    const lengths = new Uint32Array(256)
    for (let at = 0; at < pieces.length; at += FIELDS) lengths[pieces[at]] += pieces[at + 2] - pieces[at + 1]
    const filled = new Uint32Array(256)
    for (let at = 0; at < pieces.length; at += FIELDS) {
      const code = pieces[at]
      // RFC 3396 7 MUST: options of one code are one value, in the order in which they occur
      const value = options.get(code) ?? new Uint8Array(lengths[code])
      if (!options.has(code)) options.set(code, value)
      for (let from = pieces[at + 1]; from < pieces[at + 2]; from++) value[filled[code]++] = this.#bytes[from]
    }
    return options
  }
}
