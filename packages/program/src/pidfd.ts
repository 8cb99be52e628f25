import { readOr } from "./read-or.ts"

/**
 * The id of the process that a pidfd refers to, in this process's namespace; undefined if the descriptor isn't a pidfd.
 */
export function processBehind(pidfd: number): number | undefined {
  const match = /^Pid:\s+(\d+)$/m.exec(readOr(`/proc/self/fdinfo/${pidfd}`, ""))
  return match === null ? undefined : Number(match[1])
}
