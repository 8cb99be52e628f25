const ENDING_SIGNALS = ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP"] as const

/** Has the signals that ask a program to end do so in order. */
export function endOnSignals(dataPath: { stop(): void }): void {
  for (const signal of ENDING_SIGNALS) process.on(signal, () => dataPath.stop())
}
