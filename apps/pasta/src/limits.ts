import { readFileSync } from "node:fs"

/**
 * The caller's soft limit of open files, for the command to inherit; undefined if unknown. Node raises its own to the
 * hard limit as it starts, so this process has lost it. The parent process usually still has it.
 *
 * @param process the parent process
 */
export function callersOpenFileLimit(process: number): number | undefined {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync(`/proc/${process}/limits`, "latin1"))
    return limit === null ? undefined : Math.min(Number(limit[1]), 0x7fffffff)
  } catch {
    return undefined
  }
}
