import { writeSync } from "node:fs"

const STDERR = 2

let program = "demiflow"

/** Sets the program's name, which precedes every reported problem. */
export function nameProgram(name: string): void {
  program = name
}

/**
 * Writes one line to standard error.
 *
 * `process.stderr` isn't used, since it would make a pipe non-blocking for every process that holds it, the command
 * included.
 */
export function print(text: string): void {
  try {
    writeSync(STDERR, `${text}\n`)
  } catch {
    // Standard error is closed or full, and there is no other place to report that.
  }
}

/** Reports a problem to the user, in one line. */
export function complain(text: string): void {
  print(`${program}: ${text}`)
}

/** Ends the program, for a reason that its message gives in one line. */
export class Quit extends Error {
  readonly code = "ERR_QUIT"
  /** Status to exit with. */
  readonly status: number

  constructor(message: string, status = 1) {
    super(message)
    this.name = "Quit"
    this.status = status
  }
}

/** The text for the user about any thrown value: only the message, unless it is a mistake of ours. */
export function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if ("code" in error) return error.message.split("\n")[0]
  return `internal error, please report it: ${error.name}: ${error.message.split("\n")[0]}`
}
