import { type OptionShape, scanOptions } from "./getopt.ts"
import type { OptionRow } from "./option-row.ts"
import { OPTION_TABLE } from "./option-table.ts"
import { parseProcessId } from "./option-values.ts"
import { defaultOptions, type Options, type Program } from "./options.ts"

/** The kernel's pid_t is a signed number of 32 bits. */
const MAXIMUM_PROCESS_ID = 0x7fff_ffff

/** What a command line asks for. */
export type ParsedCommandLine =
  | { readonly kind: "help" }
  | { readonly kind: "version" }
  /** One sentence for standard error, without the name of the program; the exit status is 1. */
  | { readonly kind: "error"; readonly message: string }
  | {
      readonly kind: "run"
      readonly options: Options
      /**
       * The command to run with its arguments. Empty for the user's shell, where there is a namespace to be joined
       * (an operand PID is `options.processId`), and for passt.
       */
      readonly operands: readonly string[]
    }

/** The options that end everything. */
interface FinalRow extends OptionShape {
  readonly final: "help" | "version"
}

const FINAL_ROWS: readonly FinalRow[] = [
  { long: ["help"], short: "h", final: "help" },
  { long: ["version"], final: "version" },
]

const ALL_ROWS: readonly (OptionRow | FinalRow)[] = [...FINAL_ROWS, ...OPTION_TABLE]

/**
 * Parses a command line.
 *
 * The grammar and its error messages are those of `getopt_long(3)`. Options apply in their order,
 * so that the last of several takes effect. Meaningless combinations are errors, and so is every option that
 * isn't implemented.
 *
 * @param argv arguments without interpreter and program
 */
export function parseCommandLine(argv: readonly string[], program: Program): ParsedCommandLine {
  const scan = scanOptions(argv, ALL_ROWS, (row) => "final" in row || belongsTo(row, program))
  const options = defaultOptions()
  for (const { option, argument } of scan.options) {
    if ("final" in option) return { kind: option.final }
    const message = apply(option, options, argument, program)
    if (message !== undefined) return failure(message)
  }
  if (scan.problem !== undefined) return failure(scan.problem)
  const operands = program === "pasta" ? takeProcessId(options, scan.operands) : scan.operands
  const message = findConflict(options, operands) ?? refuseOperands(operands, program)
  if (message !== undefined) return failure(message)
  return { kind: "run", options, operands }
}

/** Takes a single number as the process whose namespaces to join. Returns the operands without it. */
function takeProcessId(options: Options, operands: readonly string[]): readonly string[] {
  if (operands.length !== 1) return operands
  options.processId = parseProcessId(operands[0])
  return options.processId === undefined ? operands : []
}

/** Shows arguments as they were given, but on one line. */
function failure(message: string): ParsedCommandLine {
  return { kind: "error", message: message.replace(/\p{Control}/gu, "?") }
}

function belongsTo(row: OptionRow, program: Program): boolean {
  return row.only === undefined || row.only === program
}

function apply(row: OptionRow, options: Options, argument: string, program: Program): string | undefined {
  if (!belongsTo(row, program)) return `option '--${row.long[0]}' is for ${row.only} only`
  if (row.unimplementedIn?.includes(program)) return `option '--${row.long[0]}' is not implemented yet`
  return row.apply(options, argument, program)
}

function findConflict(options: Options, operands: readonly string[]): string | undefined {
  if (options.netmask !== undefined && options.address.v4?.prefixLength !== undefined) {
    return "Option --netmask and a prefix length in --address are mutually exclusive"
  }
  if (options.socketPath !== undefined && options.descriptor !== undefined) {
    return "Options --socket and --fd are mutually exclusive"
  }
  return findSpliceConflict(options) ?? findNamespaceConflict(options, operands)
}

function findSpliceConflict({ noSplice, spliceOnly, keepLoopback }: Options): string | undefined {
  if (!noSplice) return undefined
  if (spliceOnly) return "Options --no-splice and --splice-only are mutually exclusive"
  return keepLoopback ? "Options --no-splice and --host-lo-to-ns-lo are mutually exclusive" : undefined
}

function findNamespaceConflict(options: Options, operands: readonly string[]): string | undefined {
  const { processId, networkNamespace, userNamespace } = options
  if (processId !== undefined && (processId < 1 || processId > MAXIMUM_PROCESS_ID)) return `Invalid PID: ${processId}`
  if (userNamespace !== undefined && options.networkNamespaceOnly) return "Both --userns and --netns-only given"
  if (networkNamespace !== undefined && (processId !== undefined || operands.length > 0)) {
    return "Both --netns and PID or command given"
  }
  if (options.noPidNamespace && (processId !== undefined || networkNamespace !== undefined)) {
    return "--no-pidns is for a command: it can't be given with a PID or with --netns"
  }
  return undefined
}

function refuseOperands(operands: readonly string[], program: Program): string | undefined {
  return program === "passt" && operands.length > 0 ? `unexpected argument '${operands[0]}'` : undefined
}
