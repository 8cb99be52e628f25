/** A limited number of bytes of a seed's pattern, from an offset. */
export function slice(seed: number, offset: number, most: number): Buffer

/** SHA-256, in hexadecimal, of the first bytes of a seed's pattern. */
export function hashOf(seed: number, bytes: number): string
