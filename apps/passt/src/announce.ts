import { type Configuration, qemuHint, showsSummary } from "@demiflow/config"
import { print } from "@demiflow/program/command"
import { announce } from "@demiflow/program/launch"

/**
 * Prints the configuration once everything is open.
 *
 * @param socketPath where hypervisors connect; undefined if one is connected already
 * @param isNobody whether root has changed to that user without being asked to
 */
export function announceReady(configuration: Configuration, socketPath: string | undefined, isNobody: boolean): void {
  const isPrinted = showsSummary(configuration)
  if (socketPath !== undefined && isPrinted) print(`UNIX domain socket bound at ${socketPath}`)
  announce(configuration, isNobody)
  if (socketPath === undefined || !isPrinted) return
  print("")
  for (const line of qemuHint(socketPath, configuration.hypervisor?.isVhostUser === true)) print(line)
}
