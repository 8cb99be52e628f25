// The Internet checksum, for each byte: in JavaScript, as in a browser, and natively.
import { Arena, Demiflow, sumBytes, sumPseudoHeader } from "@demiflow/core"
import { attachArena } from "@demiflow/sys"

const KIB = 1024
const LONG = 64 * KIB

/** @returns {import("../measure.mjs").HotFunction[]} */
export function functions() {
  const arena = new Arena(2 * LONG)
  const native = attachArena(arena)
  for (let index = 0; index < arena.bytes.length; index++) arena.bytes[index] = index * 31
  const demiflow = new Demiflow()
  const { view } = arena
  return [
    { name: "checksum in JavaScript, 1 KiB", unit: "KiB", units: 1, work: () => sumBytes(view, 14, KIB, 0) },
    { name: "checksum in JavaScript, 64 KiB", unit: "KiB", units: 64, work: () => sumBytes(view, 14, LONG, 0) },
    { name: "native checksum, 1 KiB", unit: "KiB", units: 1, work: () => arena.sum(14, KIB, 0) },
    { name: "native checksum, 64 KiB", unit: "KiB", units: 64, work: () => arena.sum(14, LONG, 0) },
    {
      name: "native checksum without vectors, 64 KiB",
      unit: "KiB",
      units: 64,
      work: () => native.checksumPortable(14, LONG, 0),
    },
    {
      name: "sum of a pseudo-header",
      unit: "packet",
      units: 16,
      work: () => {
        let sum = 0
        for (let length = 0; length < 16; length++) sum += sumPseudoHeader(demiflow, 6, length)
        return sum
      },
    },
  ]
}
