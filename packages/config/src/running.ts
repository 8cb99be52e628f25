/** How a program runs that is set up. */
import type { Configuration } from "./configuration.ts"

/**
 * True if the program leaves the foreground once everything is ready: unless it is to stay there, or to stay with the
 * command that it runs.
 */
export function runsInBackground({ foreground, namespace }: Configuration): boolean {
  return !foreground && namespace?.target.kind !== "new"
}

/** True if what was decided is printed. Beside a command, only with `--debug`: its user wants to see the command's output. */
export function showsSummary({ verbosity, namespace }: Configuration): boolean {
  if (verbosity === "quiet") return false
  return verbosity !== "normal" || namespace?.target.kind !== "new"
}
