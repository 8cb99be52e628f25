/**
 * The outer end of a stack that runs in a page: {@link WispSockets} over a WebSocket to a relay that speaks the wisp
 * protocol, {@link ConnectSockets} over a runtime's `connect()`. Either answers the guest's questions for names by DNS
 * over HTTPS, if given a server. {@link WebLoop} runs the stack's turns.
 *
 * @packageDocumentation
 */
export * from "./capabilities.ts"
export * from "./connect/connect-sockets.ts"
export type * from "./connect/connected-socket.ts"
export type { DnsOverHttpsOptions } from "./dns/dns-over-https.ts"
export * from "./web-loop.ts"
export * from "./wisp/wisp-counters.ts"
export * from "./wisp/wisp-sockets.ts"
export type { WispWebSocket } from "./wisp/wisp-web-socket.ts"
