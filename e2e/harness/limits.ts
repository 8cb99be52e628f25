/**
 * How long a case may take, which is only a limit against cases that hang: five times what the case takes on two idle
 * cores, at least. All else that waits derives its limit from that of the case under way, and gives up a little
 * earlier, so that what a program has printed is shown.
 */
import { TestRunner } from "vitest"

/** How much slower than others the machine is: DEMIFLOW_SLOWNESS, for one that is emulated. */
export const SLOWNESS: number = Number(process.env.DEMIFLOW_SLOWNESS ?? 1)

/** Of a case or a hook that has none of its own, milliseconds. */
export const CASE_LIMIT: number = 120_000 * SLOWNESS

/** How much earlier than the case everything gives up that it waits for, milliseconds. */
const MARGIN = 10_000

/** Milliseconds that the case under way leaves to what it waits for, from now on. In a hook: as if it had just begun. */
export function timeLeft(): number {
  const { timeout = CASE_LIMIT, result } = TestRunner.getCurrentTest() ?? {}
  const began = result?.startTime ?? Date.now()
  return Math.max(0, began + timeout - Math.min(MARGIN, timeout / 6) - Date.now())
}

/** Whether a case is under way, not a hook of several cases. */
export function isInCase(): boolean {
  return TestRunner.getCurrentTest() !== undefined
}
