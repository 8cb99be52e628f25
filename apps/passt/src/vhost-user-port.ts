import type { Machinery } from "@demiflow/program/data-path"
import { Entrance } from "@demiflow/stream-link"
import { SystemError } from "@demiflow/sys"
import { describeVhostUserEnd, VhostUserBackEnd, VhostUserLink } from "@demiflow/vhost-user"
import type { GuestPort, GuestPortHooks } from "./guest-port.ts"

/** A port for hypervisors that share the guest's memory. */
export function vhostUserPort(
  { native, arena, loop, drops }: Machinery,
  mtu: number | undefined,
  hooks: GuestPortHooks,
): GuestPort {
  const link = new VhostUserLink(native, arena, { drops, ...(mtu !== undefined && { mtu }) })
  const backEnd = new VhostUserBackEnd(native, loop, link, {
    onReady: () => hooks.onReady(),
    onFrames: () => hooks.onFrames(),
    onResume: () => hooks.onResume(),
    // A hypervisor that is killed may end its connection in any way.
    onGone: (end) => hooks.onGone(describeVhostUserEnd(end), end.kind !== "closed" && end.kind !== "failed"),
  })
  const entrance = new Entrance(native, arena, loop, backEnd, {
    onArrived(descriptor, process) {
      try {
        backEnd.attach(descriptor)
      } catch (error) {
        native.close(descriptor)
        if (!(error instanceof SystemError)) throw error
        hooks.onAcceptError(error.errno)
        return
      }
      hooks.onConnected(process)
    },
    onRefused: (process) => hooks.onRefused(process),
    onAcceptError: (errno) => hooks.onAcceptError(errno),
  })
  return {
    link,
    listen: (listener) => entrance.listen(listener),
    adopt: (descriptor) => entrance.adopt(descriptor),
    checkEnd() {},
    close() {
      backEnd.detach()
      entrance.close()
    },
  }
}
