/** How the runtime of a data path is started. */
import { fileURLToPath } from "node:url"
import { SHUT_DEBUGGER } from "./debugger.ts"
import { DATA_PATH_ROLE, isOneFile, ROLE } from "./one-file.ts"

/** Options for the runtime, separated by spaces. For profiling; NODE_OPTIONS isn't meant for it. */
const NODE_OPTIONS_VARIABLE = "DEMIFLOW_NODE_OPTIONS"
/**
 * Use one thread besides the main one, for compiling functions that run often. With the default of four, they keep all
 * processors busy in the first seconds, for whole time slices, while packets wait, and compilation finishes no sooner.
 */
const THREAD_OPTIONS = ["--v8-pool-size=1"]
/** Text can't become code any more. A documented option of Node.js; kept code was compiled with it. */
const NO_CODE_FROM_TEXT = "--disallow-code-generation-from-strings"
/** Options with which the command itself is started: see `bin/passt`. */
export const COMMAND_OPTIONS: readonly string[] = [...THREAD_OPTIONS, NO_CODE_FROM_TEXT]
/**
 * Memory management of the data path, for short pauses with any number of flows. Packets allocate nothing, so new
 * objects are mostly the state of flows, and stay. The space for new objects is small: it fills often, but moving its
 * survivors never takes long, less than it would take to involve other threads. And old objects are not scanned
 * whenever their space has grown a little, which pays only where much of it has become garbage.
 *
 * A runtime does not start with an option that it doesn't know, and some of these may disappear: they are used only
 * with the versions with which they were tried.
 */
const MEMORY_OPTIONS = ["--max-semi-space-size=1", "--no-parallel-scavenge", "--initial-old-space-size=128"]
/** Last major version of Node.js tried. */
const LAST_TRIED_VERSION = 26
/**
 * Prefixes of the caller's variables that a data path needs: where the runtime's libraries are, the time zone of the
 * system's log, and our own. All others may be secret, and would lie in the memory of the process that handles the
 * guest's packets.
 */
export const NEEDED_VARIABLES: readonly string[] = ["LD_LIBRARY_PATH=", "TZ=", "DEMIFLOW_"]

/** A program to execute: its path, its arguments beginning with its own name, and its variables. */
export interface RuntimeCommand {
  readonly path: string
  readonly arguments: readonly string[]
  readonly variables: readonly string[]
}

/**
 * The command that runs a bundle by the runtime that runs this one, with a minimal environment.
 *
 * @param name the name of the process
 * @param bundle a file of a program's folder `dist`: `start.js` of its folder `bin` runs it
 */
export function runtimeCommand(name: string, bundle: URL): RuntimeCommand {
  const variables = Object.entries(process.env)
    .map(([variable, value]) => `${variable}=${value}`)
    .filter((text) => NEEDED_VARIABLES.some((beginning) => text.startsWith(beginning)))
    // The caller doesn't choose the role: of two values, the runtime reads the first.
    .filter((text) => !text.startsWith(ROLE))
  if (isOneFile()) {
    const options = process.env[NODE_OPTIONS_VARIABLE]
    const added = options === undefined ? [] : [`NODE_OPTIONS=${options}`]
    return { path: process.execPath, arguments: [name], variables: [...variables, DATA_PATH_ROLE, ...added] }
  }
  const start = fileURLToPath(new URL("../bin/start.js", bundle))
  return {
    path: process.execPath,
    arguments: [name, ...runtimeOptions(), start, fileURLToPath(bundle)],
    variables,
  }
}

/** The memory options that this runtime knows. */
export function memoryOptions(): readonly string[] {
  return Number.parseInt(process.versions.node, 10) <= LAST_TRIED_VERSION ? MEMORY_OPTIONS : []
}

/** Options that every data path's runtime has. */
export function dataPathOptions(): string[] {
  return [...COMMAND_OPTIONS, SHUT_DEBUGGER, ...memoryOptions()]
}

/** Options of a data path's runtime: these, the caller's, and what a variable adds. */
export function runtimeOptions(): string[] {
  const options = process.env[NODE_OPTIONS_VARIABLE]?.split(" ") ?? []
  return [
    ...dataPathOptions().filter((option) => !process.execArgv.includes(option)),
    ...process.execArgv,
    ...options.filter((option) => option !== ""),
  ]
}
