import type { Arena, Vectors } from "@demiflow/core"
import type { ByteRing } from "./byte-ring.ts"

/** Returns the bytes that vectors name. */
export function lengthOfVectors(vectors: Vectors, first: number, count: number): number {
  let length = 0
  for (let index = first; index < first + count; index++) length += vectors.lengthAt(index)
  return length
}

/** Copies the first `length` bytes that vectors name, no more than there are, into `into` at `at`. */
export function copyVectors(
  arena: Arena,
  vectors: Vectors,
  first: number,
  length: number,
  into: Uint8Array,
  at: number,
): void {
  let copied = 0
  for (let index = first; copied < length; index++) {
    const offset = vectors.offsetAt(index)
    const part = Math.min(vectors.lengthAt(index), length - copied)
    into.set(arena.bytes.subarray(offset, offset + part), at + copied)
    copied += part
  }
}

/** Copies the first `length` bytes that vectors name, no more than there are, to the end of a ring. */
export function pushVectors(arena: Arena, vectors: Vectors, first: number, length: number, ring: ByteRing): void {
  let left = length
  for (let index = first; left > 0; index++) {
    const offset = vectors.offsetAt(index)
    const part = Math.min(vectors.lengthAt(index), left)
    ring.push(arena.bytes.subarray(offset, offset + part))
    left -= part
  }
}
