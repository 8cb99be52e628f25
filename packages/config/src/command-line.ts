import { type OptionShape, scanOptions } from "./getopt.ts"
import type { OptionRow } from "./option-row.ts"
import { OPTION_TABLE } from "./option-table.ts"
import { defaultOptions, type Options, type Program } from "./options.ts"

/** What a command line asks for. */
export type ParsedCommandLine =
  | { readonly kind: "help" }
  | { readonly kind: "version" }
  /** One sentence for standard error, without the name of the program; the exit status is 1. */
  | { readonly kind: "error"; readonly message: string }
  | {
      readonly kind: "run"
      readonly options: Options
      /** The command to run with its arguments; empty for the user's shell. Always empty for passt. */
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
 * The grammar is that of `getopt_long(3)`, and so is the wording of messages about it. Options apply in their order,
 * so that the last of several takes effect; combinations that have no meaning are errors, as is every option that
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
  const message = scan.problem ?? findConflict(options) ?? refuseOperands(scan.operands, program)
  if (message !== undefined) return failure(message)
  return { kind: "run", options, operands: scan.operands }
}

/** Arguments are shown as they came, but never as more than one line. */
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

function findConflict(options: Options): string | undefined {
  if (options.ipv4Only && options.ipv6Only) return "Options --ipv4-only and --ipv6-only are mutually exclusive"
  if (options.netmask !== undefined && options.address.v4?.prefixLength !== undefined) {
    return "Option --netmask and a prefix length in --address are mutually exclusive"
  }
  if (options.socketPath !== undefined && options.descriptor !== undefined) {
    return "Options --socket and --fd are mutually exclusive"
  }
  return undefined
}

function refuseOperands(operands: readonly string[], program: Program): string | undefined {
  if (operands.length === 0) return undefined
  if (program === "passt") return `unexpected argument '${operands[0]}'`
  if (operands.length === 1 && /^\d+$/.test(operands[0])) {
    return `joining the namespaces of process ${operands[0]} is not implemented yet`
  }
  return undefined
}
