/** The bytes of a message that arrived; undefined if it is no binary message. Its memory is not copied. */
export function bytesOf(message: unknown): Uint8Array | undefined {
  if (message instanceof Uint8Array) return message
  if (message instanceof ArrayBuffer) return new Uint8Array(message)
  if (ArrayBuffer.isView(message)) return new Uint8Array(message.buffer, message.byteOffset, message.byteLength)
  return undefined
}

/** The message that an event carries. */
export function dataOf(event: object): unknown {
  return (event as { readonly data?: unknown }).data
}
