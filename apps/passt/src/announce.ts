import { type Configuration, qemuHint, summary } from "@demiflow/config"
import { complain, tell } from "@demiflow/program/command"

/**
 * What the user is told once everything is open.
 *
 * @param socketPath where the hypervisor connects; undefined if it is connected already
 * @param isNobody whether root has changed to that user unasked
 */
export function announce(configuration: Configuration, socketPath: string | undefined, isNobody: boolean): void {
  const isQuiet = configuration.verbosity === "quiet"
  if (isNobody && !isQuiet) complain("started as root, changing to user nobody")
  if (socketPath !== undefined && !isQuiet) tell(`UNIX domain socket bound at ${socketPath}`)
  for (const { level, text } of configuration.notices) {
    if (level === "warning") complain(text)
    else if (!isQuiet) tell(text)
  }
  if (isQuiet) return
  for (const line of summary(configuration)) tell(line)
  if (socketPath === undefined) return
  tell("")
  for (const line of qemuHint(socketPath)) tell(line)
}
