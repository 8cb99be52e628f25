import type { Configuration } from "@demiflow/config"
import type { Arena, HostNeighbours, Log } from "@demiflow/core"
import { type EventLoop, type Native, NeighbourWatch, SystemError } from "@demiflow/sys"

/**
 * Shows the guest the host's neighbours on the interfaces from which the guest has its addresses; none where the kernel
 * doesn't report them.
 */
export function watchHostNeighbours(
  { native, arena, loop }: { native: Native; arena: Arena; loop: EventLoop },
  { v4, v6, splicing }: Configuration,
  hostNeighbours: HostNeighbours,
  log: Log,
): void {
  const interfaces = { v4: v4?.template, v6: v6?.template }
  if (splicing?.isOnly || (interfaces.v4 === undefined && interfaces.v6 === undefined)) return
  try {
    new NeighbourWatch(native, arena, loop, interfaces, (address, mac) => hostNeighbours.notice(address, mac))
  } catch (error) {
    if (!(error instanceof SystemError)) throw error
    log.debug(`The guest sees no neighbours of the host: ${error.message}`)
  }
}
