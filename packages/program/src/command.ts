/**
 * What runs first: the command line, and how the user is told of what went wrong.
 *
 * @packageDocumentation
 */
export * from "./debugger.ts"
export * from "./messages.ts"
export * from "./run-program.ts"
