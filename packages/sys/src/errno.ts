import { constants } from "node:os"
import { getSystemErrorMap } from "node:util"

const names = new Map<number, string>()
for (const [name, number] of Object.entries(constants.errno)) {
  // EWOULDBLOCK and EAGAIN are one number, as are EOPNOTSUPP and ENOTSUP: the first name of each is the usual one.
  if (!names.has(number) && name !== "EWOULDBLOCK") names.set(number, name)
}

/** The name of an error number, such as `ECONNREFUSED`. Negated numbers are accepted. */
export function errnoName(errno: number): string {
  return names.get(Math.abs(errno)) ?? `E${Math.abs(errno)}`
}

/** What an error number means, in words. Negated numbers are accepted. */
export function errnoSentence(errno: number): string {
  return getSystemErrorMap().get(-Math.abs(errno))?.[1] ?? `error number ${Math.abs(errno)}`
}

/** A system call off the data path failed. */
export class SystemError extends Error {
  /** The error's name, such as `EACCES`. */
  readonly code: string
  /** The error's number, positive. */
  readonly errno: number

  /**
   * @param action what was attempted, as in "Could not …"
   * @param errno error number; may be negated
   * @param advice what to do about it, a sentence without its full stop
   */
  constructor(action: string, errno: number, advice?: string) {
    const hint = advice === undefined ? "" : `; ${advice}`
    super(`Could not ${action}: ${errnoSentence(errno)} (${errnoName(errno)})${hint}`)
    this.name = "SystemError"
    this.code = errnoName(errno)
    this.errno = Math.abs(errno)
  }
}

/** Returns a native call's result, or throws a {@link SystemError} if it is a negated error number. */
export function checkResult(result: number, action: string, advice?: string): number {
  if (result < 0) throw new SystemError(action, result, advice)
  return result
}
