const ENDING_SIGNALS = ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP"] as const
/**
 * A program that is interrupted or hung up ends by that signal: a shell then ends the surrounding loop or script as
 * well. SIGTERM and SIGQUIT request the program's regular end, with status 0.
 */
const ENDS_BY: readonly NodeJS.Signals[] = ["SIGINT", "SIGHUP"]

/** How a program ends: an exit status, or a signal. */
export type Outcome = number | NodeJS.Signals

/**
 * Stops a data path when a signal requests the program's end. Returns a function that returns the program's outcome,
 * once stopped.
 */
export function endOnSignals(dataPath: { stop(): void }): () => Outcome {
  let outcome: Outcome = 0
  for (const signal of ENDING_SIGNALS) {
    process.on(signal, () => {
      if (ENDS_BY.includes(signal)) outcome = signal
      dataPath.stop()
    })
  }
  return () => outcome
}

/** Ends this process. */
export function endWith(outcome: Outcome): never {
  if (typeof outcome === "number") process.exit(outcome)
  // Without a listener the signal regains the kernel's default action.
  process.removeAllListeners(outcome)
  process.kill(process.pid, outcome)
  process.exit(1)
}
