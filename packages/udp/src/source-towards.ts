import { type Address, type Demiflow, NO_SIDE, type Sockets } from "@demiflow/core"

/**
 * Returns the address from which the host sends to the correspondent of `target`, one of its sides. Only a connected
 * socket knows it; those of ports aren't connected. Returns undefined if the host has no way there, or no socket is
 * left.
 */
export function sourceTowards(sockets: Sockets, target: Demiflow): Address | undefined {
  const probe = target.clone()
  probe.forwardingPort = 0
  const socket = sockets.udpOpen(NO_SIDE, probe)
  if (socket < 0) return undefined
  const result = sockets.boundEnd(socket, probe)
  sockets.close(socket)
  return result < 0 ? undefined : probe.forwardingAddress
}
