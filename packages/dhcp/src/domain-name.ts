/** Domain names in wire form (RFC 1035, section 3.1), as DHCP's options carry them. */
import { asciiBytes } from "./bytes.ts"

/** Largest offset that a compression pointer reaches: 14 bits (RFC 1035, section 4.1.4). */
const POINTER_LIMIT = 0x3fff
const POINTER_MARK = 0xc0

/**
 * Encodes names one behind the other. Text is split at dots; a dot at the end makes no difference. Names that aren't
 * domain names are omitted: those with an empty label, a label over 63 bytes, over 255 bytes in all, or other
 * characters than ASCII.
 *
 * @param compressed true to let names share their ends (RFC 3397, section 2): pointers count from the first byte
 * @param room bytes at most: the first name that doesn't fit is omitted, and so are all that follow
 */
export function encodeDomainNames(
  names: readonly string[],
  compressed = false,
  room: number = Number.POSITIVE_INFINITY,
): Uint8Array {
  const bytes: number[] = []
  /** Offsets of the ends of names that a later name may share. */
  const known = new Map<string, number>()
  for (const name of names) {
    const labels = labelsOf(name)
    if (labels === undefined) continue
    const ends = labels.map((_label, index) => labels.slice(index).join("."))
    const shared = compressed ? ends.findIndex((end) => known.has(end)) : -1
    const own = shared < 0 ? labels : labels.slice(0, shared)
    const pointer = known.get(ends[shared])
    const encoded = own.flatMap((label) => [label.length, ...(asciiBytes(label) ?? [])])
    encoded.push(...(pointer === undefined ? [0] : [POINTER_MARK | (pointer >> 8), pointer & 0xff]))
    if (bytes.length + encoded.length > room) break
    let offset = bytes.length
    for (const [index, label] of own.entries()) {
      if (offset <= POINTER_LIMIT) known.set(ends[index], offset)
      offset += 1 + label.length
    }
    bytes.push(...encoded)
  }
  return Uint8Array.from(bytes)
}

function labelsOf(name: string): string[] | undefined {
  const labels = name.replace(/\.$/, "").split(".")
  // In ASCII, characters are bytes.
  if (asciiBytes(name) === undefined || labels.some((label) => label.length < 1 || label.length > 63)) return undefined
  // Each label is preceded by its length, and the empty label of the root ends the name.
  return labels.reduce((sum, label) => sum + label.length + 1, 1) <= 255 ? labels : undefined
}
