import { helpText, type Options, type Program, parseCommandLine } from "@demiflow/config"
import { keepDebuggerShut } from "./debugger.ts"
import { complain, nameProgram, sentenceOf } from "./messages.ts"
import { isOneFile } from "./one-file.ts"
import { endWith, type Outcome } from "./signals.ts"

const STATUS_FAILED = 1
const ARGUMENTS_FROM = 2

/** What a program does with its options and operands. */
export type Run = (options: Options, operands: readonly string[]) => Promise<Outcome>

/** What a program uses of its `package.json`. */
export interface Manifest {
  readonly version: string
}

/**
 * Runs the program that the user started, from its command line to its end.
 *
 * @param manifest its `package.json`
 * @param run loads the modules that help, version and errors in options don't need
 */
export async function runProgram(program: Program, manifest: Manifest, run: Run): Promise<never> {
  nameProgram(program)
  keepDebuggerShut()
  endWith(await outcomeOf(program, manifest, run))
}

async function outcomeOf(program: Program, manifest: Manifest, run: Run): Promise<Outcome> {
  const parsed = parseCommandLine(process.argv.slice(ARGUMENTS_FROM), program)
  switch (parsed.kind) {
    case "help":
      process.stdout.write(helpText(program))
      return 0
    case "version":
      process.stdout.write(`${program} ${manifest.version} (${madeBy()})\n`)
      return 0
    case "error":
      complain(parsed.message)
      return STATUS_FAILED
    case "run":
      return runOrComplain(run, parsed.options, parsed.operands)
  }
}

async function runOrComplain(run: Run, options: Options, operands: readonly string[]): Promise<Outcome> {
  try {
    return await run(options, operands)
  } catch (error) {
    complain(sentenceOf(error))
    return error instanceof Error && "status" in error ? Number(error.status) : STATUS_FAILED
  }
}

/** With the version of a runtime that came with the program. */
function madeBy(): string {
  return isOneFile() ? `demiflow, with Node.js ${process.versions.node}` : "demiflow"
}
