import { type Configuration, showsSummary, summary } from "@demiflow/config"
import { complain, print } from "./messages.ts"

/**
 * Prints the configuration, if the verbosity asks for it, and warnings unless it is quiet.
 *
 * @param isNobody whether root changes to that user without being asked to
 */
export function announce(configuration: Configuration, isNobody: boolean): void {
  const isPrinted = showsSummary(configuration)
  if (isNobody && isPrinted) complain("started as root, changing to user nobody")
  for (const { level, text } of configuration.notices) {
    if (level === "info" && isPrinted) print(text)
    if (level === "warning" && configuration.verbosity !== "quiet") complain(text)
  }
  if (isPrinted) for (const line of summary(configuration)) print(line)
}
