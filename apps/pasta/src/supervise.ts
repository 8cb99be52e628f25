/** What a launcher does with signals while the processes below it live. */
import type { Native } from "@demiflow/sys"

/** What a terminal sends to everybody in its foreground: the command has got it as well. */
const TERMINAL_SIGNALS = { SIGINT: 2, SIGQUIT: 3 } as const
/** Passed on to the command in any case. */
const FORWARDED_SIGNALS = { SIGHUP: 1, SIGUSR1: 10, SIGUSR2: 12, SIGTERM: 15 } as const

/** Which process gets the signals of a program that runs a command. */
export interface SignalTarget {
  /** Process number of the init that passes them on to the command. */
  readonly init: number
  /** True if the terminal sends its signals to the command too. */
  readonly isForeground: boolean
}

/** Has the command get our signals. To be called before it runs: it may have us sent one at once. */
export function passSignalsOn(native: Native, { init, isForeground }: SignalTarget): void {
  for (const [signal, number] of Object.entries(FORWARDED_SIGNALS)) {
    process.on(signal, () => native.kill(init, number))
  }
  for (const [signal, number] of Object.entries(TERMINAL_SIGNALS)) {
    process.on(signal, () => {
      if (!isForeground) native.kill(init, number)
    })
  }
}
