/** SHA-256, in hexadecimal, of the first bytes of a seed's pattern. */
export function hashOf(seed: number, bytes: number): string
