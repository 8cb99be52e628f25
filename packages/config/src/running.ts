/** How a program runs after its set-up. */
import type { Configuration } from "./configuration.ts"

/**
 * True if the program goes to the background once everything is ready: unless the user wants it in the foreground, or
 * it runs a command.
 */
export function runsInBackground({ foreground, namespace }: Configuration): boolean {
  return !foreground && namespace?.target.kind !== "new"
}

/** True if the summary is printed. With a command, only with `--debug`: the user wants to see the command's output. */
export function showsSummary({ verbosity, namespace }: Configuration): boolean {
  if (verbosity === "quiet") return false
  return verbosity !== "normal" || namespace?.target.kind !== "new"
}
