/**
 * A stack with all protocols between a link and the host's sockets, driven by an event loop, and what is written meanwhile.
 *
 * @packageDocumentation
 */
export * from "./capture.ts"
export * from "./identity.ts"
export * from "./log.ts"
export * from "./log-file.ts"
export * from "./machinery.ts"
export * from "./report.ts"
export * from "./system-log.ts"
