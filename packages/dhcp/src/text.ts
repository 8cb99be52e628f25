/** The bytes of a text in ASCII; undefined if it holds anything else. */
export function asciiBytes(text: string): Uint8Array | undefined {
  const bytes = Uint8Array.from(text, (character) => Math.min(character.codePointAt(0) ?? 0xff, 0xff))
  return bytes.every((byte) => byte < 0x80) ? bytes : undefined
}
