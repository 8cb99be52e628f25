/** How a program runs that is set up. */
import type { Configuration } from "./configuration.ts"

/**
 * True if the program leaves the foreground once everything is ready: unless told to stay there, or to stay with the
 * command that it runs.
 */
export function runsInBackground({ foreground, namespace }: Configuration): boolean {
  return !foreground && namespace?.target.kind !== "new"
}

/** True if the user is told what was decided. Who runs a command wants to see the command's output: only with `--debug`. */
export function showsSummary({ verbosity, namespace }: Configuration): boolean {
  if (verbosity === "quiet") return false
  return verbosity !== "normal" || namespace?.target.kind !== "new"
}
