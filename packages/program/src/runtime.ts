/** How the runtime of a data path is started. */

/** Options for the runtime, separated by spaces. For profiling; NODE_OPTIONS isn't meant for it. */
const NODE_OPTIONS_VARIABLE = "DEMIFLOW_NODE_OPTIONS"
/** Variables of the caller that are meant for its own programs of that runtime. */
const RUNTIME_VARIABLE = /^NODE_/

/** A program to execute: its path, its arguments from its own name on, and its variables. */
export interface RuntimeCommand {
  readonly path: string
  readonly arguments: readonly string[]
  readonly variables: readonly string[]
}

/**
 * What to execute to run a script by the runtime that runs this one.
 *
 * @param name what the process is called
 */
export function runtimeCommand(name: string, script: string): RuntimeCommand {
  const options = process.env[NODE_OPTIONS_VARIABLE]?.split(" ") ?? []
  const variables = Object.entries(process.env).filter(([variable]) => !RUNTIME_VARIABLE.test(variable))
  return {
    path: process.execPath,
    arguments: [name, ...process.execArgv, ...options.filter((option) => option !== ""), script],
    variables: variables.map(([variable, value]) => `${variable}=${value}`),
  }
}
