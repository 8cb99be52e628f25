import type { Machinery } from "@demiflow/program/data-path"
import { describeStreamEnd, Hypervisor, StreamLink } from "@demiflow/stream-link"
import type { GuestPort, GuestPortHooks } from "./guest-port.ts"

/** Most bytes of one read from a hypervisor: many frames of one flow are one call to the host's socket. */
const RECEIVE_BYTES = 2 << 20

/** A port for hypervisors that send frames in a stream. */
export function streamPort(
  { native, arena, loop, drops }: Machinery,
  mtu: number | undefined,
  hooks: GuestPortHooks,
): GuestPort {
  const link = new StreamLink(native, arena, { drops, receiveBytes: RECEIVE_BYTES, ...(mtu !== undefined && { mtu }) })
  const hypervisor = new Hypervisor(native, loop, link, {
    onConnected(process) {
      hooks.onConnected(process)
      hooks.onReady()
    },
    onRefused: (process) => hooks.onRefused(process),
    onAcceptError: (errno) => hooks.onAcceptError(errno),
    onFrames: () => hooks.onFrames(),
    takesFramesLater: true,
    onResume: () => hooks.onResume(),
    // A hypervisor that is killed may end its connection in any way.
    onGone: (end) => hooks.onGone(describeStreamEnd(end), end.kind === "bad length"),
  })
  return {
    link,
    listen: (listener) => hypervisor.listen(listener),
    adopt: (descriptor) => hypervisor.adopt(descriptor),
    checkEnd: () => hypervisor.checkEnd(),
    close: () => hypervisor.close(),
  }
}
