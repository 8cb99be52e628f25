/**
 * The flow table that all protocols share, and the policy that decides where a flow goes. No I/O.
 *
 * @packageDocumentation
 */
export * from "./deadlines.ts"
export * from "./hash.ts"
export * from "./policy.ts"
export * from "./port-forwarding.ts"
export * from "./rules.ts"
export * from "./table.ts"
