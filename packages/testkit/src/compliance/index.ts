/**
 * Suites that every implementation passes: of a protocol, of a link, of a host. They make their tests with vitest.
 *
 * @packageDocumentation
 */
export * from "./frontend.ts"
export * from "./host.ts"
export type * from "./host-under-test.ts"
export * from "./protocol.ts"
