/**
 * A program that is one file: the runtime, its bundle and the native files. All of its processes execute that file, and
 * a variable says what each of them is. The variable isn't checked: it decides what a user's own process does.
 */

const ROLE_VARIABLE = "DEMIFLOW_ROLE"
/** How the variable begins in an environment. */
export const ROLE: string = `${ROLE_VARIABLE}=`
const DATA_PATH = "data-path"

/** What makes a process the data path, in its environment. */
export const DATA_PATH_ROLE: string = `${ROLE}${DATA_PATH}`

let isOne = false

/** To be called first in the one file. Returns true if this process is the data path. */
export function beOneFile(): boolean {
  isOne = true
  return process.env[ROLE_VARIABLE] === DATA_PATH
}

/** True if the executable is the program, not a runtime that needs the path of a bundle. */
export function isOneFile(): boolean {
  return isOne
}
