/**
 * What is decided before packets move, and starting the process that moves them.
 *
 * @packageDocumentation
 */
export * from "./announce.ts"
export * from "./data-path-process.ts"
export { type HandOver, handOver } from "./handed-over.ts"
export * from "./identity.ts"
export { closeInherited, namedDescriptors } from "./inherited-descriptors.ts"
export * from "./learn.ts"
export * from "./pid-file.ts"
export * from "./process-steps.ts"
export * from "./report.ts"
export * from "./run-launcher.ts"
export { type RuntimeCommand, runtimeCommand, runtimeOptions } from "./runtime.ts"
export { endOnSignals, type Outcome } from "./signals.ts"
export { passtCalls, pastaCalls } from "./wall/allowed-calls.ts"
export * from "./wall/birth.ts"
export type { Birth } from "./wall/helper.ts"
export * from "./wall/print.ts"
export * from "./wall/steps.ts"
export * from "./wall/waiting.ts"
