import { readFileSync } from "node:fs"

/**
 * The soft limit of open files that the caller has, or undefined. Node raises its own to the hard limit as it starts, so
 * that what the command should inherit is gone by now; who started us still has it, as a rule.
 *
 * @param process who started us
 */
export function callersOpenFileLimit(process: number): number | undefined {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync(`/proc/${process}/limits`, "latin1"))
    return limit === null ? undefined : Math.min(Number(limit[1]), 0x7fffffff)
  } catch {
    return undefined
  }
}
