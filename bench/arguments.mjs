// The command line of the bench.
import { parseArgs } from "node:util"

/**
 * What is measured: a program, and how its guest is connected.
 * @typedef {"pasta" | "passt" | "vhost-user"} Measured
 */

/**
 * @typedef {object} Settings
 * @property {Measured} program
 * @property {boolean} quick
 * @property {number} rounds Measurements of each case with each peer.
 * @property {number} measured Duration of one measurement, milliseconds.
 * @property {number} warm Milliseconds that traffic runs before it.
 * @property {RegExp | undefined} only The rows to measure, by "group: case".
 * @property {readonly { name: string, path: string }[]} more Other programs with the same command line.
 * @property {readonly string[]} without Names of peers to leave out.
 * @property {string | undefined} json
 * @property {string | undefined} plots
 * @property {string | undefined} markdown
 * @property {string | undefined} from
 */

export const usage = `usage: npm run bench -- [OPTION]...

  --quick            less than two minutes instead of half an hour, for a first look
  --program NAME     pasta (the default), passt with a guest behind its socket, or vhost-user: passt with shared memory
  --only PATTERN     only the rows whose "group: case" matches this regular expression
  --rounds N         measure each case N times with each peer (5)
  --seconds S        let each measurement last S seconds (2)
  --peer NAME=PATH   also measure another program that takes the same command line; more than once if wanted
  --without NAME     leave a peer out: pasta, passt, slirp4netns, stream or direct; more than once
  --json FILE        write everything that was measured
  --plots FOLDER     write a plot of each group
  --markdown FILE    write the tables, between the marks <!-- figures: NAME --> and <!-- /figures: NAME --> if FILE
                     has them for this program
  --from FILE        measure nothing, show what --json wrote
`

/**
 * The command that is measured.
 * @param {Measured} program
 */
export function commandOf(program) {
  return program === "vhost-user" ? "passt" : program
}

/** An invalid command line. */
export class UsageError extends Error {}

const options = /** @type {const} */ ({
  quick: { type: "boolean" },
  program: { type: "string" },
  only: { type: "string" },
  rounds: { type: "string" },
  seconds: { type: "string" },
  peer: { type: "string", multiple: true },
  without: { type: "string", multiple: true },
  json: { type: "string" },
  plots: { type: "string" },
  markdown: { type: "string" },
  from: { type: "string" },
  help: { type: "boolean", short: "h" },
})

/**
 * @param {readonly string[]} words
 * @returns {Settings | undefined} Nothing if help is asked for.
 */
export function parseArguments(words) {
  const values = read(words)
  if (values.help) return undefined
  const seconds = positive("seconds", values.seconds, values.quick ? 0.15 : 2)
  return {
    program: program(values.program),
    quick: values.quick ?? false,
    rounds: Math.ceil(positive("rounds", values.rounds, values.quick ? 3 : 5)),
    measured: Math.round(seconds * 1000),
    // By then slow start is over, and code has been compiled.
    warm: Math.round(Math.min(300, seconds * 250)),
    only: pattern(values.only),
    more: (values.peer ?? []).map(namedPath),
    without: values.without ?? [],
    json: values.json,
    plots: values.plots,
    markdown: values.markdown,
    from: values.from,
  }
}

/** @param {readonly string[]} words */
function read(words) {
  try {
    return parseArgs({ args: [...words], options }).values
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

/** @param {string | undefined} name */
function program(name = "pasta") {
  if (name !== "pasta" && name !== "passt" && name !== "vhost-user") {
    throw new UsageError(`--program takes pasta, passt or vhost-user, not "${name}"`)
  }
  return name
}

/**
 * @param {string} name
 * @param {string | undefined} text
 * @param {number} otherwise
 */
function positive(name, text, otherwise) {
  const value = text === undefined ? otherwise : Number(text)
  if (!(value > 0 && value < 1000)) throw new UsageError(`--${name} takes a positive number, not "${text}"`)
  return value
}

/** @param {string | undefined} text */
function pattern(text) {
  try {
    return text === undefined ? undefined : new RegExp(text, "i")
  } catch {
    throw new UsageError(`--only takes a regular expression, not "${text}"`)
  }
}

/** @param {string} text */
function namedPath(text) {
  const [, name = "", path = ""] = /^([\w.+-]+)=(.+)$/.exec(text) ?? []
  if (name === "") throw new UsageError(`--peer takes NAME=PATH, not "${text}"`)
  return { name, path }
}
