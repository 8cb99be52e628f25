/**
 * What runs first: the command line, and reporting failures to the user.
 *
 * @packageDocumentation
 */
export * from "./debugger.ts"
export * from "./messages.ts"
export { beOneFile } from "./one-file.ts"
export * from "./run-program.ts"
