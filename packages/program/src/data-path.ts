/**
 * A stack with all protocols between a link and the host's sockets, driven by an event loop; and its log, capture and
 * statistics.
 *
 * @packageDocumentation
 */
export * from "./auto-ports.ts"
export * from "./bounded-log.ts"
export * from "./capture.ts"
export * from "./counting-link.ts"
export * from "./end-with-launcher.ts"
export { closeHandedOver } from "./handed-over.ts"
export * from "./host-neighbours.ts"
export * from "./identity.ts"
export type { LogSink, Severity } from "./log.ts"
export { ProgramLog, standardError } from "./log.ts"
export * from "./machinery.ts"
export * from "./open-log.ts"
export * from "./pesto/open-pesto.ts"
export { processBehind } from "./pidfd.ts"
export * from "./ports-at-start.ts"
export * from "./report.ts"
export { endOnSignals, type Outcome } from "./signals.ts"
export * from "./statistics.ts"
export { INIT_CALLS, launcherCalls, namespaceHelperCalls, passtCalls, pastaCalls } from "./wall/allowed-calls.ts"
export { type Birth, WallHelper } from "./wall/helper.ts"
export * from "./wall/raise.ts"
