/** Bytes or text, as the parts of the testkit take them: text stands for one byte a character (code points 0–255). */
export type BytesLike = Uint8Array | string

/** The bytes of a text of one-byte characters, or the bytes themselves. */
export function toBytes(content: BytesLike): Uint8Array {
  if (typeof content !== "string") return content
  return Uint8Array.from(content, (character) => character.charCodeAt(0))
}

/** One character for each byte: the inverse of {@link toBytes}. */
export function toText(bytes: Uint8Array): string {
  let text = ""
  for (let start = 0; start < bytes.length; start += 4096) {
    text += String.fromCharCode(...bytes.subarray(start, start + 4096))
  }
  return text
}

/** The parts joined to one array. */
export function concatenate(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0))
  let offset = 0
  for (const piece of pieces) {
    whole.set(piece, offset)
    offset += piece.length
  }
  return whole
}

/** True if both have the same bytes. */
export function sameBytes(first: Uint8Array, second: Uint8Array): boolean {
  if (first.length !== second.length) return false
  for (let index = 0; index < first.length; index++) if (first[index] !== second[index]) return false
  return true
}

/** Two hexadecimal digits a byte, for messages; at most `limit` bytes of it. */
export function toHex(bytes: Uint8Array, limit = 64): string {
  const digits = Array.from(bytes.subarray(0, limit), (byte) => byte.toString(16).padStart(2, "0")).join("")
  return bytes.length > limit ? `${digits}… (${bytes.length} bytes)` : digits
}
