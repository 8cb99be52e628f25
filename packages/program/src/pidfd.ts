import { readOr } from "./read-or.ts"

/** The number of the process behind a pidfd, as this process numbers it; undefined if the descriptor is none. */
export function processBehind(pidfd: number): number | undefined {
  const match = /^Pid:\s+(\d+)$/m.exec(readOr(`/proc/self/fdinfo/${pidfd}`, ""))
  return match === null ? undefined : Number(match[1])
}
