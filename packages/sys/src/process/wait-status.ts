/** How a process ended: its exit status, or the signal that ended it. */
export type ProcessEnd = { readonly status: number } | { readonly signal: number }

/** Decodes a status stored by waitpid(2) and its like. */
export function parseWaitStatus(status: number): ProcessEnd {
  const signal = status & 0x7f
  return signal === 0 ? { status: (status >> 8) & 0xff } : { signal }
}

/** The exit status by which shells report this end: 128 + n after signal n. */
export function shellStatus(end: ProcessEnd): number {
  return "signal" in end ? 128 + end.signal : end.status
}
