/**
 * The option grammar of `getopt_long(3)`, on which scripts that call `pasta` and `passt` rely: bundled short options
 * (`-qf4`), arguments attached or separate (`-m1500`, `-m 1500`, `--mtu=1500`, `--mtu 1500`), long options abbreviated
 * as long as that is unambiguous, and `--`. Options end at the first operand (what a leading `+` means to
 * `getopt_long`), so that `pasta ls -l` leaves `-l` to `ls`. No general library implements all of it.
 */

/** The syntax of an option. */
export interface OptionShape {
  /** Long names, without dashes. Messages show the first. */
  readonly long: readonly [string, ...string[]]
  /** One character, without dash. */
  readonly short?: string
  /** The placeholder of the argument in help texts; absent if the option takes none. */
  readonly argument?: string
}

/** The result: options in order with their arguments, then everything from the first operand on. */
export interface ScannedOptions<Shape extends OptionShape> {
  readonly options: readonly ScannedOption<Shape>[]
  readonly operands: readonly string[]
  /** The problem that ended the scan early, if any: options before it were still scanned. */
  readonly problem: string | undefined
}

/** An option that occurred. */
export interface ScannedOption<Shape extends OptionShape> {
  readonly option: Shape
  /** Empty for an option that takes none. */
  readonly argument: string
}

/** Stops the scan; only ever seen inside this module. */
class UsageError extends Error {}

/**
 * Splits a command line into options and operands.
 *
 * @param argv arguments, without the name of the program
 * @param shortAllowed the short options of this program; all of the table if absent
 */
export function scanOptions<Shape extends OptionShape>(
  argv: readonly string[],
  table: readonly Shape[],
  shortAllowed: (option: Shape) => boolean = () => true,
): ScannedOptions<Shape> {
  const options: ScannedOption<Shape>[] = []
  const remaining = [...argv]
  try {
    for (let word = remaining.shift(); word !== undefined; word = remaining.shift()) {
      if (word === "--") break
      if (word.startsWith("--")) options.push(scanLong(word.slice(2), remaining, table))
      else if (word.startsWith("-") && word !== "-") {
        scanShort(word.slice(1), remaining, table.filter(shortAllowed), options)
      } else {
        remaining.unshift(word)
        break
      }
    }
  } catch (error) {
    if (error instanceof UsageError) return { options, operands: [], problem: error.message }
    throw error
  }
  return { options, operands: remaining, problem: undefined }
}

function scanLong<Shape extends OptionShape>(
  text: string,
  remaining: string[],
  table: readonly Shape[],
): ScannedOption<Shape> {
  const equals = text.indexOf("=")
  const name = equals < 0 ? text : text.slice(0, equals)
  const { option, longName } = findLong(name, text, table)
  if (option.argument === undefined) {
    if (equals >= 0) throw new UsageError(`option '--${longName}' doesn't allow an argument`)
    return { option, argument: "" }
  }
  const argument = equals >= 0 ? text.slice(equals + 1) : remaining.shift()
  if (argument === undefined) throw new UsageError(`option '--${longName}' requires an argument`)
  return { option, argument }
}

/** An exact name wins; otherwise all names that begin so must belong to one option. */
function findLong<Shape extends OptionShape>(
  name: string,
  text: string,
  table: readonly Shape[],
): { option: Shape; longName: string } {
  const candidates = table.flatMap((option) => option.long.map((longName) => ({ option, longName })))
  const exact = candidates.find((candidate) => candidate.longName === name)
  if (exact !== undefined) return exact
  const matches = candidates.filter((candidate) => candidate.longName.startsWith(name))
  if (matches.length === 0) throw new UsageError(`unrecognized option '--${text}'`)
  if (matches.some((match) => match.option !== matches[0].option)) {
    const names = matches.map((match) => `'--${match.longName}'`).join(" ")
    throw new UsageError(`option '--${text}' is ambiguous; possibilities: ${names}`)
  }
  return matches[0]
}

function scanShort<Shape extends OptionShape>(
  text: string,
  remaining: string[],
  table: readonly Shape[],
  options: ScannedOption<Shape>[],
): void {
  const letters = [...text]
  for (const [index, letter] of letters.entries()) {
    const option = table.find((candidate) => candidate.short === letter)
    if (option === undefined) throw new UsageError(`invalid option -- '${letter}'`)
    if (option.argument === undefined) {
      options.push({ option, argument: "" })
      continue
    }
    const attached = letters.slice(index + 1).join("")
    const argument = attached === "" ? remaining.shift() : attached
    if (argument === undefined) throw new UsageError(`option requires an argument -- '${letter}'`)
    options.push({ option, argument })
    break
  }
}
