/** Rows of the option table, and how to write one. */
import type { Address } from "@demiflow/core"
import type { OptionShape } from "./getopt.ts"
import { parseDomainList } from "./option-values.ts"
import type { Options, PerFamily, Program } from "./options.ts"

/** An option, in the sections of the help text. */
export interface OptionRow extends OptionShape {
  readonly group: OptionGroup
  /** The option's effect, in one or two short sentences; for each program, where they differ. */
  readonly help: string | Readonly<Record<Program, string>>
  /** Absent if both programs have it. */
  readonly only?: Program
  /** Applies the option. Returns the problem with the argument, or undefined. */
  readonly apply: (options: Options, argument: string, program: Program) => string | undefined
  /** Programs that recognise the option, and refuse it. Their help leaves it out. */
  readonly unimplementedIn?: readonly Program[]
}

/** Sections of the help text, in its order. */
export const OPTION_GROUPS = [
  "General",
  "Addresses and routes of the guest",
  "Outbound sockets",
  "Name service",
  "Protocols",
  "Access to the host",
  "Port forwarding",
  "Namespace",
  "Hypervisor",
] as const

export type OptionGroup = (typeof OPTION_GROUPS)[number]

type Apply = OptionRow["apply"]

/** An option without argument. */
export function set(change: (options: Options) => void): Apply {
  return (options) => {
    change(options)
    return undefined
  }
}

/** An option whose argument is parsed; `problem` begins the message if that fails. */
export function value<Value>(
  problem: string,
  parse: (text: string) => Value | undefined,
  change: (options: Options, value: Value) => void,
): Apply {
  return (options, argument) => {
    const parsed = parse(argument)
    if (parsed === undefined) return `${problem}: ${argument}`
    change(options, parsed)
    return undefined
  }
}

/** An option that can be given once for IPv4 and once for IPv6. */
export function address(
  problem: string,
  parse: (text: string) => Address | undefined,
  where: (options: Options) => PerFamily<Address>,
): Apply {
  return value(problem, parse, (options, parsed) => {
    where(options)[parsed.isV4 ? "v4" : "v6"] = parsed
  })
}

export function parsePath(text: string): string | undefined {
  return text === "" || text.includes("\0") ? undefined : text
}

/** `.` is the root, as in a resolver file: nothing to search. */
export function parseSearchList(text: string): readonly string[] | undefined {
  return text === "none" || text === "." ? [] : parseDomainList(text)
}

/** An option of the existing programs that is recognised here, and refused. */
export function unimplemented(long: string, only?: Program): OptionRow {
  return {
    long: [long],
    ...(only && { only }),
    group: "General",
    help: "",
    unimplementedIn: ["pasta", "passt"],
    apply: () => undefined,
  }
}
