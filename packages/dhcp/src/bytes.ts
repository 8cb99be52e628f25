/** Returns the bytes of an ASCII text; undefined if it has other characters. */
export function asciiBytes(text: string): Uint8Array | undefined {
  const bytes = Uint8Array.from(text, (character) => Math.min(character.codePointAt(0) ?? 0xff, 0xff))
  return bytes.every((byte) => byte < 0x80) ? bytes : undefined
}

/** Returns 32-bit numbers as bytes, in network byte order. */
export function words(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4)
  const view = new DataView(bytes.buffer)
  for (const [index, value] of values.entries()) view.setUint32(index * 4, value)
  return bytes
}
