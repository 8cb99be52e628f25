import { OPTION_ROWS } from "./command-line.ts"

const COLUMN = 24

const INTRODUCTION = [
  "Usage: pesto [OPTION]... PATH",
  "",
  "Shows the forwarded ports of a running passt or pasta, or changes them. PATH is the socket that its",
  "option -c names.",
  "",
]

const EXPLANATION = [
  "",
  "Without --add and --delete, the first option for a table replaces all its ports. Options are carried",
  "out in their order, and all of them or none. SPEC is the same as for passt and pasta: see their --help.",
]

/** The text of `--help`, with line ends. */
export function helpText(): string {
  const options = OPTION_ROWS.map(({ long: [name], short, argument, help }) => {
    const syntax = `  ${short === undefined ? "   " : `-${short},`} --${name}${argument === undefined ? "" : ` ${argument}`}`
    return `${syntax.padEnd(COLUMN)}  ${help}`
  })
  return [...INTRODUCTION, ...options, ...EXPLANATION].map((line) => `${line}\n`).join("")
}
