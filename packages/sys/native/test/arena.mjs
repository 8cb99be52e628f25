// The addon under test, and the arena it works on.
import { createRequire } from "node:module"

export const native = createRequire(import.meta.url)(process.argv[2])

/** An odd size and no slack: the sanitizer has its red zone right behind the last byte. */
export const size = 300_001
export const arena = new ArrayBuffer(size)
export const bytes = new Uint8Array(arena)
const view = new DataView(arena)

/** Stores 32-bit integers from `offset` on. */
export function put(offset, ...values) {
  for (const [index, value] of values.entries()) view.setInt32(offset + index * 4, value, true)
}

export function get(offset) {
  return view.getInt32(offset, true)
}

/** Stores the socket address 127.0.0.1, port 0, with zeros behind it. */
export function putLoopback(offset) {
  bytes.fill(0, offset, offset + 28)
  view.setUint16(offset, 2, true)
  bytes.set([127, 0, 0, 1], offset + 4)
}
