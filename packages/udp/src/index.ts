/**
 * UDP flows between a guest's frames and host sockets: a protocol plugin of demiflow.
 *
 * @packageDocumentation
 */
import { type ProtocolPlugin, reserving } from "@demiflow/core"
import { UdpHandler } from "./handler.ts"
import { Splicing } from "./local/splicing.ts"
import type { UdpOptions } from "./timeouts.ts"

export { DEFAULT_TIMEOUT_AFTER_REPLY, DEFAULT_TIMEOUT_BEFORE_REPLY, type UdpOptions } from "./timeouts.ts"

/** For datagrams that leave together, and quotations. */
const ARENA_BYTES = 320 << 10
/** For datagrams that the local path relays. */
const LOCAL_PATH_ARENA_BYTES = 2 << 20

/**
 * The UDP plugin: forwards the guest's datagrams, and returns answers and errors. In a stack with a local path, it
 * drops datagrams that are local at both ends: see {@link udpWithLocalPath}.
 */
export function udp(options: UdpOptions = {}): ProtocolPlugin {
  return reserving(ARENA_BYTES, (components) => new UdpHandler(components, options))
}

/** As {@link udp}, for a guest that is a namespace with a local path. Apart, because no page needs it. */
export function udpWithLocalPath(options: UdpOptions = {}): ProtocolPlugin {
  return reserving(
    ARENA_BYTES,
    (components) => new UdpHandler(components, options, (parts) => new Splicing(parts)),
    LOCAL_PATH_ARENA_BYTES,
  )
}
