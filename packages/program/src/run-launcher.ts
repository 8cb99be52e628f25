import type { Outcome } from "./signals.ts"

/** The process that the user started, and the data path that it starts. */
export interface Launcher {
  /** Returns once everything is ready. */
  start(): void
  /** Waits for the end. Returns how this process should end. */
  stay(): Promise<Outcome>
  /** Ends the data path if it still runs. */
  endChild(): void
}

/** Runs a launcher. It leaves the data path behind unless it stays. If anything fails, the data path ends as well. */
export async function runLauncher(launcher: Launcher, stays: boolean): Promise<Outcome> {
  try {
    launcher.start()
    return stays ? await launcher.stay() : 0
  } catch (error) {
    launcher.endChild()
    throw error
  }
}
