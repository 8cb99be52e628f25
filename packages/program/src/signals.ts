const ENDING_SIGNALS = ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP"] as const
/**
 * A program that is interrupted or hung up ends by that signal: a shell then ends the loop or the script around the
 * program as well. SIGTERM and SIGQUIT ask for the program's own end, with status 0.
 */
const ENDS_BY: readonly NodeJS.Signals[] = ["SIGINT", "SIGHUP"]

/** How a program ends: an exit status, or a signal. */
export type Outcome = number | NodeJS.Signals

/** Stops a data path when a signal asks the program to end. Returns a function for the program's outcome, once stopped. */
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
  // Without a listener the signal has the kernel's default action back.
  process.removeAllListeners(outcome)
  process.kill(process.pid, outcome)
  process.exit(1)
}
