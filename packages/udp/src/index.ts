/**
 * UDP flows between a guest's frames and host sockets: a protocol plugin of demiflow.
 *
 * @packageDocumentation
 */
import type { ProtocolPlugin } from "@demiflow/core"
import { UdpHandler } from "./handler.ts"
import type { UdpOptions } from "./timeouts.ts"

export { DEFAULT_TIMEOUT_AFTER_REPLY, DEFAULT_TIMEOUT_BEFORE_REPLY, type UdpOptions } from "./timeouts.ts"

/** The plugin: forwards what the guest sends over UDP, and what comes back. */
export function udp(options: UdpOptions = {}): ProtocolPlugin {
  return (components) => new UdpHandler(components, options)
}
