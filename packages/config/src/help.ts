import { OPTION_GROUPS, type OptionRow } from "./option-row.ts"
import { OPTION_TABLE } from "./option-table.ts"
import type { Program } from "./options.ts"

const COLUMN = 28
const WIDTH = 100

const INTRODUCTION: Record<Program, readonly string[]> = {
  pasta: [
    "Usage: pasta [OPTION]... [COMMAND [ARGUMENT]...]",
    "       pasta [OPTION]... PID",
    "       pasta [OPTION]... --netns PATH|NAME",
    "",
    "Runs COMMAND, or your shell, in new user and network namespaces that are connected through the",
    "host's ordinary sockets, or connects existing namespaces. No privileges needed.",
  ],
  passt: [
    "Usage: passt [OPTION]...",
    "",
    "Connects a virtual machine through the host's ordinary sockets. No privileges needed.",
  ],
}

/** The explanation of SPEC, shown below the options that take one. */
const PORT_SPECIFICATION = [
  "",
  "  SPEC is none, or [ADDR[%INTERFACE]/] and a list, separated by commas, of:",
  ...entry("    FIRST[-LAST]", "These ports, to the same ones of the guest."),
  ...entry("    FIRST[-LAST]:[TO_ADDR/]TO_FIRST[-TO_LAST]", "These ports, to the second range."),
  ...entry("    FIRST[-LAST]:TO_ADDR", "These ports, to the same ones of this address."),
  ...entry("    ~FIRST[-LAST]", "Not these ports; alone: all others, except ephemeral ones."),
  ...entry("    all[:TO_ADDR]", "All free ports, except ephemeral ones."),
]

const AUTO_ENTRY = entry("    auto", "Of these ports, those that are bound at the other end; alone: of all.")

/** The text of `--help`, with line ends. */
export function helpText(program: Program): string {
  const lines = [...INTRODUCTION[program]]
  const rows = OPTION_TABLE.filter(
    (row) => !row.unimplementedIn?.includes(program) && (row.only === undefined || row.only === program),
  )
  for (const group of OPTION_GROUPS) {
    const members = rows.filter((row) => row.group === group)
    if (members.length === 0) continue
    lines.push("", `${group}:`, ...members.flatMap((row) => describe(row, program)))
    if (group === "General") {
      lines.push(...entry("  -h, --help", "Show this text."), ...entry("      --version", "Show the version."))
    }
    if (group === "Port forwarding") lines.push(...PORT_SPECIFICATION, ...(program === "pasta" ? AUTO_ENTRY : []))
  }
  return `${lines.join("\n")}\n`
}

function describe(row: OptionRow, program: Program): string[] {
  const short = row.short === undefined ? "    " : `-${row.short}, `
  const argument = row.argument === undefined ? "" : ` ${row.argument}`
  return entry(`  ${short}--${row.long[0]}${argument}`, typeof row.help === "string" ? row.help : row.help[program])
}

function entry(head: string, text: string): string[] {
  const lines = wrap(text, WIDTH - COLUMN)
  const first = head.length + 2 <= COLUMN ? [head.padEnd(COLUMN) + lines[0]] : [head, " ".repeat(COLUMN) + lines[0]]
  return [...first, ...lines.slice(1).map((line) => " ".repeat(COLUMN) + line)]
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [""]
  for (const word of text.split(" ")) {
    const last = lines[lines.length - 1]
    if (last === "") lines[lines.length - 1] = word
    else if (last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}
