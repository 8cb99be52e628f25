/**
 * The host's end of a stack by `node:net` and `node:dgram` alone: {@link NodeSockets} runs wherever Node.js does, and
 * on runtimes that have these modules. {@link NodeLoop} runs the stack's turns beside ordinary code.
 * {@link NODE_CAPABILITIES} declares what the sockets of `@demiflow/sys` can do and these can't.
 *
 * @packageDocumentation
 */
export * from "./capabilities.ts"
export * from "./node-loop.ts"
export * from "./node-own-addresses.ts"
export * from "./node-sockets.ts"
