import { type Configuration, qemuHint, showsSummary } from "@demiflow/config"
import { tell } from "@demiflow/program/command"
import { announce } from "@demiflow/program/launch"

/**
 * What is printed once everything is open.
 *
 * @param socketPath where the hypervisor connects; undefined if it is connected already
 * @param isNobody whether root has changed to that user unasked
 */
export function announceReady(configuration: Configuration, socketPath: string | undefined, isNobody: boolean): void {
  const isTold = showsSummary(configuration)
  if (socketPath !== undefined && isTold) tell(`UNIX domain socket bound at ${socketPath}`)
  announce(configuration, isNobody)
  if (socketPath === undefined || !isTold) return
  tell("")
  for (const line of qemuHint(socketPath)) tell(line)
}
