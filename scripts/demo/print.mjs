// The demo's output: a label, the observation, and at the end whether everything was as expected.
import colors from "picocolors"

const WIDTH = 12

export const heading = (text) => process.stdout.write(`\n${colors.bold(text)}\n\n`)

export const note = (text) => process.stdout.write(`${colors.dim(text)}\n`)

/** Columns of fixed width, so that rows line up. */
function row(mark, label, columns) {
  const [first = "", ...rest] = columns
  process.stdout.write(
    `  ${mark} ${colors.bold(label.padEnd(WIDTH))}${[first.padEnd(16), ...rest].join("  ").trimEnd()}\n`,
  )
}

/** An observation that is shown, but not judged. */
export const fact = (label, ...columns) => row(" ", label, columns)

/** A step that worked. */
export const success = (label, ...columns) => row(colors.green("✓"), label, columns)

/** A step that failed. */
export const failure = (label, ...columns) => row(colors.red("✗"), label, columns)

/** A step that this machine can't show. */
export const leftOut = (label, reason) => row("-", label, [colors.dim(`left out: ${reason}`)])

/** Why the demo can't start, and what to do. Ends the process. */
export function giveUp(reason, remedy) {
  process.stderr.write(`${colors.red("The demo can't run:")} ${reason}\n${remedy}\n`)
  process.exit(1)
}
