/**
 * The limit of a case, which only stops cases that hang: at least five times the case's duration on two idle
 * cores. Everything else that waits derives its limit from the running case, and gives up a little
 * earlier, so that the output of programs is shown.
 */
import { TestRunner } from "vitest"

/** The machine's slowness factor: DEMIFLOW_SLOWNESS, for an emulated one. */
export const SLOWNESS: number = Number(process.env.DEMIFLOW_SLOWNESS ?? 1)

/** Limit of a case or a hook without one of its own, milliseconds. */
export const CASE_LIMIT: number = 120_000 * SLOWNESS

/** Milliseconds before the case's limit at which all waiting in it gives up. */
const MARGIN = 10_000

/** Milliseconds from now on that waiting in the running case may take. In a hook: as if the hook had just begun. */
export function timeLeft(): number {
  const { timeout = CASE_LIMIT, result } = TestRunner.getCurrentTest() ?? {}
  const began = result?.startTime ?? Date.now()
  return Math.max(0, began + timeout - Math.min(MARGIN, timeout / 6) - Date.now())
}

/** True if a case is running, not a hook of several cases. */
export function isInCase(): boolean {
  return TestRunner.getCurrentTest() !== undefined
}
