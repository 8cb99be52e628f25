/**
 * What implementations of `Sockets` share, wherever their bytes go: {@link KitSockets} finds the socket that a call
 * names, {@link StreamSocket} and {@link DatagramSocket} keep what arrives until the guest has it, and report events.
 * {@link TurnLoop} runs the stack's turns beside ordinary code, in a page as well.
 *
 * @packageDocumentation
 */
export * from "./byte-ring.ts"
export * from "./copy-vectors.ts"
export * from "./datagram-socket.ts"
export * from "./host-socket.ts"
export * from "./kit-sockets.ts"
export * from "./socket-errors.ts"
export * from "./stream-socket.ts"
export * from "./turn-loop.ts"
