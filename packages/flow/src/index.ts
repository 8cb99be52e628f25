/**
 * The flow table that all protocols share, and the policy that decides where a flow goes. No I/O.
 *
 * @packageDocumentation
 */
export * from "./deadlines.ts"
export * from "./forwarding-rule.ts"
export * from "./hash.ts"
export * from "./policy.ts"
export type { ChangeOutcome, PortChange, UnavailablePort } from "./port-change.ts"
export * from "./port-forwarding.ts"
export * from "./rules.ts"
export * from "./table.ts"
