import { writeSync } from "node:fs"

const STDERR = 2

let program = "demiflow"

/** Says which program this process is: its name goes before every problem that is reported. */
export function nameProgram(name: string): void {
  program = name
}

/**
 * Writes one line to standard error.
 *
 * Not by `process.stderr`, which would make a pipe non-blocking for everybody who has it, the command included.
 */
export function tell(text: string): void {
  try {
    writeSync(STDERR, `${text}\n`)
  } catch {
    // It is closed or full, and there is no other place to say so.
  }
}

/** Tells the user of a problem, in one line. */
export function complain(text: string): void {
  tell(`${program}: ${text}`)
}

/** The program ends, for a reason that its message says in one line. */
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

/** What to tell the user of anything that was thrown: the message only, unless it is a mistake of ours. */
export function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if ("code" in error) return error.message.split("\n")[0]
  return `internal error, please report it: ${error.name}: ${error.message.split("\n")[0]}`
}
