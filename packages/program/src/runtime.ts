/** How the runtime of a data path is started. */
import { fileURLToPath } from "node:url"
import { SHUT_DEBUGGER } from "./debugger.ts"

/** Options for the runtime, separated by spaces. For profiling; NODE_OPTIONS isn't meant for it. */
const NODE_OPTIONS_VARIABLE = "DEMIFLOW_NODE_OPTIONS"
/**
 * One thread beside the main one, which compiles what has run often. With as many as the runtime would have (four), those
 * keep all processors busy in the first seconds, a whole slice at a time, while packets wait; and compiling is no sooner done.
 */
const THREAD_OPTIONS = ["--v8-pool-size=1"]
/** Text can't become code any more. Of Node.js' documented options; code that is kept was compiled with it. */
const NO_CODE_FROM_TEXT = "--disallow-code-generation-from-strings"
/** With which the command itself is started: see `bin/passt`. */
export const COMMAND_OPTIONS: readonly string[] = [...THREAD_OPTIONS, NO_CODE_FROM_TEXT]
/**
 * How the data path's memory is managed, for pauses that are short however many flows there are. Packets allocate nothing,
 * so that what is new is mostly the state of flows, and stays. The space for new objects is small then: it is often full,
 * but what has to be moved out of it is never much, less than it would take other threads to be there and help. And what
 * stays is not looked through each time it has grown a bit, which pays only where much of it has become garbage.
 *
 * A runtime does not start with an option that it doesn't know, and not all of these are promised to stay: they are for
 * the versions with which they were tried.
 */
const MEMORY_OPTIONS = ["--max-semi-space-size=1", "--no-parallel-scavenge", "--initial-old-space-size=128"]
/** Of Node.js. */
const LAST_TRIED_VERSION = 26
/**
 * How the caller's variables begin that a data path needs: where the runtime's libraries lie, which clock the system's log goes by, and ours. What else
 * there is may be secret, and would be in the memory of the process that the guest's packets go through.
 */
export const NEEDED_VARIABLES: readonly string[] = ["LD_LIBRARY_PATH=", "TZ=", "DEMIFLOW_"]

/** A program to execute: its path, its arguments from its own name on, and its variables. */
export interface RuntimeCommand {
  readonly path: string
  readonly arguments: readonly string[]
  readonly variables: readonly string[]
}

/**
 * What to execute to run a bundle by the runtime that runs this one, with as little of the environment as it takes.
 *
 * @param name what the process is called
 * @param bundle a file of a program's folder `dist`: `start.js` of its folder `bin` runs it
 */
export function runtimeCommand(name: string, bundle: URL): RuntimeCommand {
  const variables = Object.entries(process.env)
    .map(([variable, value]) => `${variable}=${value}`)
    .filter((text) => NEEDED_VARIABLES.some((beginning) => text.startsWith(beginning)))
  const start = fileURLToPath(new URL("../bin/start.js", bundle))
  return {
    path: process.execPath,
    arguments: [name, ...runtimeOptions(), start, fileURLToPath(bundle)],
    variables,
  }
}

/** Those that this runtime knows. */
export function memoryOptions(): readonly string[] {
  return Number.parseInt(process.versions.node, 10) <= LAST_TRIED_VERSION ? MEMORY_OPTIONS : []
}

/** Options of a data path's runtime. */
export function runtimeOptions(): string[] {
  const options = process.env[NODE_OPTIONS_VARIABLE]?.split(" ") ?? []
  return [
    ...[...COMMAND_OPTIONS, SHUT_DEBUGGER, ...memoryOptions()].filter((option) => !process.execArgv.includes(option)),
    ...process.execArgv,
    ...options.filter((option) => option !== ""),
  ]
}
