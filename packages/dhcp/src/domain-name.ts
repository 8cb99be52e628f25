/** Domain names in wire form (RFC 1035, section 3.1), as DHCP's options carry them. */
import { asciiBytes } from "./text.ts"

/** Largest offset that a compression pointer reaches: 14 bits (RFC 1035, section 4.1.4). */
const POINTER_LIMIT = 0x3fff
const POINTER_MARK = 0xc0

/**
 * Names one behind the other. Text is taken apart at dots; one at the end makes no difference. Names that aren't domain
 * names (an empty label, one over 63 bytes, over 255 bytes in all, other than ASCII) are left out.
 *
 * @param compressed true to let names share their ends (RFC 3397, section 2): pointers count from the first byte
 */
export function encodeDomainNames(names: readonly string[], compressed = false): Uint8Array {
  const bytes: number[] = []
  const known = new Map<string, number>()
  for (const name of names) {
    const labels = labelsOf(name)
    if (labels === undefined) continue
    for (let index = 0; index <= labels.length; index++) {
      const rest = labels.slice(index).join(".")
      const pointer = known.get(rest)
      if (index < labels.length && compressed && pointer !== undefined) {
        bytes.push(POINTER_MARK | (pointer >> 8), pointer & 0xff)
        break
      }
      if (bytes.length <= POINTER_LIMIT) known.set(rest, bytes.length)
      const label = asciiBytes(labels[index] ?? "") ?? []
      bytes.push(label.length, ...label)
    }
  }
  return Uint8Array.from(bytes)
}

function labelsOf(name: string): string[] | undefined {
  const labels = name.replace(/\.$/, "").split(".")
  // In ASCII, characters are bytes.
  if (asciiBytes(name) === undefined || labels.some((label) => label.length < 1 || label.length > 63)) return undefined
  // Each label is preceded by its length, and the root's empty one ends the name.
  return labels.reduce((sum, label) => sum + label.length + 1, 1) <= 255 ? labels : undefined
}
