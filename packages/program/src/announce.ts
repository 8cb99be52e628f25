import { type Configuration, showsSummary, summary } from "@demiflow/config"
import { complain, tell } from "./messages.ts"

/**
 * Prints what was decided, as far as it is wanted; warnings unless it is to be quiet.
 *
 * @param isNobody whether root changes to that user unasked
 */
export function announce(configuration: Configuration, isNobody: boolean): void {
  const isTold = showsSummary(configuration)
  if (isNobody && isTold) complain("started as root, changing to user nobody")
  for (const { level, text } of configuration.notices) {
    if (level === "info" && isTold) tell(text)
    if (level === "warning" && configuration.verbosity !== "quiet") complain(text)
  }
  if (isTold) for (const line of summary(configuration)) tell(line)
}
