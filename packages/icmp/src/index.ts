/**
 * ICMP echo between a guest's frames and ping sockets of the host, and answers to what can't be carried: protocol plugins of
 * demiflow.
 *
 * @packageDocumentation
 */
import type { ProtocolPlugin } from "@demiflow/core"
import { IcmpHandler } from "./handler.ts"
import type { IcmpOptions } from "./options.ts"
import { RefusalHandler } from "./refusal.ts"

export { DEFAULT_TIMEOUT, type IcmpOptions } from "./options.ts"

/** The plugin: forwards the guest's echo requests, over IPv4 and IPv6, and returns replies and errors. */
export function icmp(options: IcmpOptions = {}): ProtocolPlugin {
  return (components) => new IcmpHandler(components, options)
}

/**
 * The plugin: answers packets of all IP protocols that no other handler claims with "protocol unreachable". TCP, UDP, ICMP and
 * ICMPv6 without a handler are left alone.
 */
export function refusal(): ProtocolPlugin {
  return (components) => new RefusalHandler(components)
}
