import { OPTION_GROUPS, type OptionRow } from "./option-row.ts"
import { OPTION_TABLE } from "./option-table.ts"
import type { Program } from "./options.ts"

const COLUMN = 28
const WIDTH = 100

const INTRODUCTION: Record<Program, readonly string[]> = {
  pasta: [
    "Usage: pasta [OPTION]... [COMMAND [ARGUMENT]...]",
    "",
    "Runs COMMAND, or your shell, in new user and network namespaces that are connected through the",
    "host's ordinary sockets. No privileges needed.",
  ],
  passt: [
    "Usage: passt [OPTION]...",
    "",
    "Connects a virtual machine through the host's ordinary sockets. No privileges needed.",
  ],
}

/** The text of `--help`, with line ends. */
export function helpText(program: Program): string {
  const lines = [...INTRODUCTION[program]]
  const rows = OPTION_TABLE.filter((row) => !row.unimplemented && (row.only === undefined || row.only === program))
  for (const group of OPTION_GROUPS) {
    const members = rows.filter((row) => row.group === group)
    if (members.length === 0) continue
    lines.push("", `${group}:`, ...members.flatMap(describe))
    if (group === "General") {
      lines.push(...entry("  -h, --help", "Show this text."), ...entry("      --version", "Show the version."))
    }
  }
  return `${lines.join("\n")}\n`
}

function describe(row: OptionRow): string[] {
  const short = row.short === undefined ? "    " : `-${row.short}, `
  const argument = row.argument === undefined ? "" : ` ${row.argument}`
  return entry(`  ${short}--${row.long[0]}${argument}`, row.help)
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
