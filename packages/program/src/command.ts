/**
 * What runs first: the command line, and how a failure is reported to the user.
 *
 * @packageDocumentation
 */
export * from "./debugger.ts"
export * from "./messages.ts"
export * from "./run-program.ts"
