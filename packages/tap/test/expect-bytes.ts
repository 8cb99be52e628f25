import { expect } from "vitest"

/** Compares bytes. `toEqual` is slow, so it is called only for those that differ. */
export function expectBytes(actual: Uint8Array, expected: Uint8Array): void {
  const isSame = actual.length === expected.length && actual.every((byte, index) => byte === expected[index])
  if (!isSame) expect(actual).toEqual(expected)
}
