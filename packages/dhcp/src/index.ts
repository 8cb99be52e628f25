/**
 * DHCPv4 and DHCPv6 servers with a single address to assign: protocol plugins of demiflow.
 *
 * {@link dhcpv4} and {@link dhcpv6} are the plugins. Their parts are exported as well and need no stack:
 * {@link parseDhcpv4}, {@link answerDhcpv4} and {@link emitDhcpv4} read, answer and write messages in plain bytes, and
 * so do their counterparts for DHCPv6.
 *
 * @packageDocumentation
 */
import type { ProtocolPlugin } from "@demiflow/core"
import { Dhcpv4Handler } from "./v4/handler.ts"
import type { Dhcpv4Lease } from "./v4/lease-options.ts"
import { Dhcpv6Handler } from "./v6/handler.ts"
import type { Dhcpv6Lease } from "./v6/server.ts"

export * from "./domain-name.ts"
export type { Dhcpv4Lease } from "./v4/lease-options.ts"
export * from "./v4/packet.ts"
export * from "./v4/server.ts"
export { Dhcpv4MessageType, Dhcpv4Option } from "./v4/wire.ts"
export * from "./v6/packet.ts"
export * from "./v6/server.ts"
export { Dhcpv6MessageType, Dhcpv6Option, Dhcpv6Status } from "./v6/wire.ts"

/** The DHCPv4 plugin. Register it before or after UDP: its claim to port 67 takes precedence. */
export function dhcpv4(lease: Dhcpv4Lease): ProtocolPlugin {
  return (components) => new Dhcpv4Handler(components, lease)
}

/** The DHCPv6 plugin. Register it before or after UDP: its claim to port 547 takes precedence. */
export function dhcpv6(lease: Dhcpv6Lease): ProtocolPlugin {
  return (components) => new Dhcpv6Handler(components, lease)
}
