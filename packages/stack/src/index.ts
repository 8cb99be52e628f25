/**
 * Where protocols register, and where a turn happens. {@link createStack} assembles a link, sockets and protocols;
 * {@link Stack} hands packets, events and time to the protocols. Runs in a browser.
 *
 * @packageDocumentation
 */
export { ClaimConflictError } from "./claims.ts"
export * from "./create-stack.ts"
export * from "./link-local.ts"
export * from "./stack.ts"
export * from "./stack-parts.ts"
