/** How a launcher handles signals while the processes below it live. */
import type { Native } from "@demiflow/sys"

/** Signals that a terminal sends to its whole foreground group: the command has received them too. */
const TERMINAL_SIGNALS = { SIGINT: 2, SIGQUIT: 3 } as const
/** Always passed on to the command. */
const FORWARDED_SIGNALS = { SIGHUP: 1, SIGUSR1: 10, SIGUSR2: 12, SIGTERM: 15 } as const

/** The process that receives the signals of a program that runs a command. */
export interface SignalTarget {
  /** Process id of the init that passes them on to the command. */
  readonly init: number
  /** True if the terminal sends its signals to the command too. */
  readonly isForeground: boolean
}

/** Passes our signals on to the command. Must be called before the command runs: it may cause a signal at once. */
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
