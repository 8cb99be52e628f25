/**
 * Suites that every implementation of a protocol, a link or a host passes. They define their tests with vitest.
 *
 * @packageDocumentation
 */
export * from "./frontend.ts"
export * from "./protocol.ts"
export type { ProtocolUnderTest, SampleGuest } from "./protocol-bench.ts"
export * from "./sockets.ts"
export type * from "./sockets-under-test.ts"
