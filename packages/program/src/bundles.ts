/**
 * What precedes a program: its code, ready to run.
 *
 * @packageDocumentation
 */
export * from "./keep-bundles.ts"
export * from "./kept-code.ts"
export { COMMAND_OPTIONS, dataPathOptions, memoryOptions, runtimeOptions } from "./runtime.ts"
export { keepBirth } from "./wall/keep-birth.ts"
