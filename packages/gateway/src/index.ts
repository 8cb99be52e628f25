/**
 * A network for a guest behind any link, in a few lines: {@link createGateway}.
 *
 * @packageDocumentation
 */
export type { SocketsKind } from "./ends.ts"
export type { FlowAddress, GatewayFlow } from "./flow-list.ts"
export type { ForwardedPort, ForwardOptions } from "./forwarded-ports.ts"
export * from "./gateway.ts"
export * from "./gateway-error.ts"
export type { NameServerOption } from "./name-servers.ts"
export type { AddressLike, Network, NetworkOptions } from "./networks.ts"
export * from "./options.ts"
