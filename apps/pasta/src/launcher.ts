/** The process that the user started: decides, starts the others, waits, and ends as the command did. */
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { type Configuration, encodeConfiguration, type Options, summary } from "@demiflow/config"
import { Arena } from "@demiflow/core"
import { complain, Quit, tell } from "@demiflow/program/command"
import {
  chooseIdentity,
  createPipe,
  DataPathProcess,
  decideConfiguration,
  type Pipe,
  parseReport,
  readIdentityFacts,
  runtimeCommand,
  writePidFile,
} from "@demiflow/program/launch"
import { attachArena, lastArguments, NETLINK_ARENA_BYTES } from "@demiflow/sys"
import { chooseCommand } from "./command.ts"
import { explainStepFailure } from "./failures.ts"
import { launchSteps } from "./launch-steps.ts"
import { callersOpenFileLimit } from "./limits.ts"
import type { DataPathReport } from "./report.ts"
import { supervise } from "./supervise.ts"
import { ForegroundTerminal } from "./terminal.ts"
import { findUnimplemented } from "./unimplemented.ts"

const ARENA_BYTES = NETLINK_ARENA_BYTES + 256 * 1024
/** Stands for bytes of an argument that are no valid UTF-8. */
const REPLACEMENT = "\ufffd"

/**
 * Runs the command in a connected namespace; answers the status to exit with. Throws an error with a `code` whose message
 * is what the user is to be told.
 */
export async function launch(options: Options, operands: readonly string[]): Promise<number> {
  const unimplemented = findUnimplemented(options)
  if (unimplemented !== undefined) throw new Quit(unimplemented)
  const launcher = new Launcher(options, operands)
  try {
    const init = launcher.start()
    // The data path ends by itself then. The kernel takes some 20 ms for its tap device, for which nobody has to wait.
    return await launcher.finish(init)
  } catch (error) {
    launcher.endChild()
    throw error
  }
}

class Launcher {
  readonly #options: Options
  readonly #arena = new Arena(ARENA_BYTES)
  readonly #native = attachArena(this.#arena)
  readonly #terminal = new ForegroundTerminal(this.#native)
  readonly #identity = chooseIdentity(readIdentityFacts())
  readonly #commandName: string
  readonly #go: Pipe
  readonly #child: DataPathProcess

  /** Starts the data path's process. Its runtime starts up while the configuration is being decided here. */
  constructor(options: Options, operands: readonly string[]) {
    this.#options = options
    const command = chooseCommand(operands, process.env, argumentBytes(operands))
    this.#commandName = command.name
    const scratch = this.#arena.reserve(8, 8)
    const mapped = createPipe(this.#native, this.#arena, scratch)
    const go = createPipe(this.#native, this.#arena, scratch)
    this.#go = go
    const plan = {
      command,
      mapped: this.#identity ?? { user: process.geteuid?.() ?? 0, group: process.getegid?.() ?? 0 },
      changesIdentity: this.#identity !== undefined,
      openFiles: callersOpenFileLimit(process.ppid),
      dataPath: runtimeCommand("pasta", fileURLToPath(new URL("./data-path.cjs", import.meta.url))),
    }
    this.#child = new DataPathProcess(
      this.#native,
      this.#arena,
      (pipes) => launchSteps({ ...plan, pipes: { ...pipes, mapped, go } }),
      [mapped.readEnd, mapped.writeEnd, go.readEnd],
    )
  }

  /** Has everything set up and lets the command run; answers the process number of its init. */
  start(): number {
    const { configuration, linkLocalScope } = decideConfiguration(this.#native, this.#arena, this.#options, "pasta")
    const encoded = encodeConfiguration(configuration)
    this.#child.sendSettings({ configuration: encoded, identity: this.#identity, linkLocalScope })
    this.#announce(configuration)
    const init = this.#awaitReady()
    writePidFile(this.#options.pidPath, process.pid)
    this.#native.write(this.#go.writeEnd, this.#arena.reserve(1, 1), 1)
    return init
  }

  /** Waits for the end of the command; answers its status. */
  async finish(init: number): Promise<number> {
    const takeLine = (line: string): number | undefined => {
      const report = this.#take(line)
      if (report?.kind === "failed") throw new Quit(report.message)
      return report?.kind === "ended" ? report.status : undefined
    }
    try {
      const status = await supervise({
        native: this.#native,
        init,
        isForeground: this.#terminal.isForeground,
        descriptor: this.#child.reports,
        takeLine,
      })
      if (status !== undefined) return status
      throw new Quit(`The data path ended unexpectedly (${this.#child.wait()}), and the command with it`)
    } finally {
      this.#terminal.reclaim()
    }
  }

  /** Ends the data path, if it is still there, and with it everything that is below it. */
  endChild(): void {
    this.#child.kill()
  }

  #announce(configuration: Configuration): void {
    const { verbosity, notices } = configuration
    const isVerbose = verbosity === "debug" || verbosity === "trace"
    if (this.#identity !== undefined && isVerbose) complain("started as root, changing to user nobody")
    for (const { level, text } of notices) {
      if (level === "warning" || isVerbose) complain(text)
    }
    if (isVerbose) for (const line of summary(configuration)) tell(line)
  }

  #awaitReady(): number {
    const init = this.#child.awaitReport((line) => {
      const report = this.#take(line)
      if (report?.kind === "failed") throw new Quit(report.message)
      if (report?.kind === "ended") throw new Quit("The first process of the namespace ended while it was set up")
      return report?.init
    })
    if (init === undefined) throw new Quit(`The data path ended while it was starting (${this.#child.wait()})`)
    return init
  }

  /** A line from one of the processes; undefined if it has been dealt with. Throws {@link Quit} if that was the end. */
  #take(line: string): DataPathReport | undefined {
    const failure = this.#child.failedStep(line)
    if (failure === undefined) return parseReport<DataPathReport>(line)
    const { text, isWarning, status } = explainStepFailure(failure, this.#commandName)
    if (isWarning) {
      if (this.#options.verbosity !== "quiet") complain(text)
      return undefined
    }
    throw new Quit(text, status)
  }
}

function argumentBytes(operands: readonly string[]): readonly (string | Uint8Array)[] {
  if (!operands.some((operand) => operand.includes(REPLACEMENT))) return operands
  return lastArguments(readFileSync("/proc/self/cmdline"), operands.length)
}
