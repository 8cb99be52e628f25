/**
 * ICMP echo between a guest's frames and ping sockets of the host, and refusal of protocols that aren't carried:
 * protocol plugins of demiflow.
 *
 * @packageDocumentation
 */
import type { ProtocolPlugin } from "@demiflow/core"
import { IcmpHandler } from "./handler.ts"
import type { IcmpOptions } from "./options.ts"
import { RefusalHandler } from "./refusal.ts"

export { DEFAULT_TIMEOUT, type IcmpOptions } from "./options.ts"

/** The ICMP plugin: forwards the guest's echo requests over IPv4 and IPv6, and returns replies and errors. */
export function icmp(options: IcmpOptions = {}): ProtocolPlugin {
  return (components) => new IcmpHandler(components, options)
}

/**
 * The refusal plugin: answers packets of all IP protocols that no other handler claims with "protocol unreachable".
 * TCP, UDP, ICMP and ICMPv6 are left alone, even without a handler.
 */
export function refusal(): ProtocolPlugin {
  return (components) => new RefusalHandler(components)
}
