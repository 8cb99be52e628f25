import { type Address, type Demiflow, type Host, NO_SIDE } from "@demiflow/core"

/**
 * The address from which the host sends to the correspondent of `target`, one of its sides: a socket has it that is connected
 * there, which those of ports aren't. Undefined if the host has no way there, or no socket left.
 */
export function sourceTowards(host: Host, target: Demiflow): Address | undefined {
  const probe = target.clone()
  probe.forwardingPort = 0
  const socket = host.udpOpen(NO_SIDE, probe)
  if (socket < 0) return undefined
  const result = host.boundEnd(socket, probe)
  host.close(socket)
  return result < 0 ? undefined : probe.forwardingAddress
}
