/**
 * ICMP echo between a guest's frames and ping sockets of the host: a protocol plugin of demiflow.
 *
 * @packageDocumentation
 */
import type { ProtocolPlugin } from "@demiflow/core"
import { IcmpHandler } from "./handler.ts"
import type { IcmpOptions } from "./options.ts"

export { DEFAULT_TIMEOUT, type IcmpOptions } from "./options.ts"

/** The plugin: forwards the guest's echo requests, over IPv4 and IPv6, and returns replies and errors. */
export function icmp(options: IcmpOptions = {}): ProtocolPlugin {
  return (components) => new IcmpHandler(components, options)
}
