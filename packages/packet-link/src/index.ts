/**
 * Links of demiflow over what a page or a program already has: calls, a WebSocket, a `MessagePort` or
 * `BroadcastChannel`, streams. Each carries plain Ethernet frames, without offloads. All are a {@link PacketLink}.
 *
 * @packageDocumentation
 */
export * from "./duplex-link.ts"
export * from "./link-end.ts"
export * from "./message-link.ts"
export * from "./packet-link.ts"
export * from "./web-socket-link.ts"
export * from "./web-streams-link.ts"
