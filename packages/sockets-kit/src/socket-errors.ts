import { Errno } from "@demiflow/core"

/** A socket of this number isn't open. */
export const EBADF = 9
/** The socket needs a destination with each datagram. */
export const EDESTADDRREQ = 89
/** The system has no such version of IP. */
export const EAFNOSUPPORT = 97
/** The socket has one destination for all datagrams. */
export const EISCONN = 106

/** The numbers of Linux, whatever the system, by the codes of Node.js. */
const numbers: Readonly<Record<string, number | undefined>> = { ...Errno, EBADF, EAFNOSUPPORT }

/** Returns the (positive) error number for an error with a code of Node.js. */
export function errnoOf(error: unknown, otherwise: number): number {
  const code = error instanceof Error && "code" in error ? error.code : undefined
  return (typeof code === "string" ? numbers[code] : undefined) ?? otherwise
}
