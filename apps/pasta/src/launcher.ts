/** The process that the user started: decides, starts the others, waits, and ends as the command did. */
import { readFileSync, readSync, writeFileSync, writeSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { type Configuration, encodeConfiguration, type Options, summary } from "@demiflow/config"
import { Arena } from "@demiflow/core"
import {
  attachArena,
  checkResult,
  FileCommand,
  LineSplitter,
  lastArguments,
  NETLINK_ARENA_BYTES,
  parseStepFailure,
  parseWaitStatus,
  runSteps,
  type StepProcess,
} from "@demiflow/sys"
import { chooseCommand } from "./command.ts"
import { explainStepFailure } from "./failures.ts"
import { chooseIdentity } from "./identity.ts"
import { launchSteps, type Pipe } from "./launch-steps.ts"
import { decideConfiguration, readIdentityFacts } from "./learn.ts"
import { callersOpenFileLimit } from "./limits.ts"
import { complain, Quit, tell } from "./messages.ts"
import { type DataPathReport, type DataPathSettings, parseReport } from "./protocol.ts"
import { supervise } from "./supervise.ts"
import { ForegroundTerminal } from "./terminal.ts"

const ARENA_BYTES = NETLINK_ARENA_BYTES + 256 * 1024
const READ_BYTES = 4096
const SIGKILL = 9
/** Mode of the PID file, as the C implementation has it. */
const PID_FILE_MODE = 0o600
/** Options for the runtime of the data path, separated by spaces. For profiling; NODE_OPTIONS isn't meant for it. */
const NODE_OPTIONS_VARIABLE = "DEMIFLOW_NODE_OPTIONS"
/** Variables of the caller that are meant for its own programs of that runtime. */
const RUNTIME_VARIABLE = /^NODE_/
/** Stands for bytes of an argument that are no valid UTF-8. */
const REPLACEMENT = "\ufffd"

/**
 * Runs the command in a connected namespace; answers the status to exit with. Throws an error with a `code` whose message
 * is what the user is to be told.
 */
export async function launch(options: Options, operands: readonly string[]): Promise<number> {
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
  readonly #scratch = this.#arena.reserve(READ_BYTES, 8)
  readonly #terminal = new ForegroundTerminal(this.#native)
  readonly #identity = chooseIdentity(readIdentityFacts())
  readonly #commandName: string
  readonly #pipes: { settings: Pipe; mapped: Pipe; go: Pipe; report: Pipe }
  readonly #child: StepProcess
  #hasChild = true
  #childEnd = "nobody knows why"

  /** Starts the data path's process. Its runtime starts up while the configuration is being decided here. */
  constructor(options: Options, operands: readonly string[]) {
    this.#options = options
    const command = chooseCommand(operands, process.env, argumentBytes(operands))
    this.#commandName = command.name
    const pipes = { settings: this.#pipe(), mapped: this.#pipe(), go: this.#pipe(), report: this.#pipe() }
    this.#pipes = pipes
    const steps = launchSteps({
      command,
      mapped: this.#identity ?? { user: process.geteuid?.() ?? 0, group: process.getegid?.() ?? 0 },
      changesIdentity: this.#identity !== undefined,
      openFiles: callersOpenFileLimit(process.ppid),
      dataPath: {
        path: process.execPath,
        arguments: ["pasta", ...runtimeOptions(), fileURLToPath(new URL("./data-path.cjs", import.meta.url))],
        variables: dataPathVariables(),
      },
      pipes,
    })
    this.#child = runSteps(this.#native, this.#arena, steps, pipes.report.writeEnd)
    const theirs = [pipes.settings.readEnd, pipes.mapped.readEnd, pipes.mapped.writeEnd, pipes.go.readEnd]
    for (const end of [...theirs, pipes.report.writeEnd]) this.#native.close(end)
  }

  /** Has everything set up and lets the command run; answers the process number of its init. */
  start(): number {
    const { configuration, linkLocalScope } = decideConfiguration(this.#native, this.#arena, this.#options)
    const encoded = encodeConfiguration(configuration)
    this.#sendSettings({ configuration: encoded, identity: this.#identity, linkLocalScope })
    this.#announce(configuration)
    const init = this.#awaitReady()
    this.#writePidFile()
    this.#native.write(this.#pipes.go.writeEnd, this.#scratch, 1)
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
        descriptor: this.#pipes.report.readEnd,
        takeLine,
      })
      if (status !== undefined) return status
      throw new Quit(`The data path ended unexpectedly (${this.#waitForChild()}), and the command with it`)
    } finally {
      this.#terminal.reclaim()
    }
  }

  /** Ends the data path, if it is still there, and with it everything that is below it. */
  endChild(): void {
    if (this.#hasChild) this.#native.kill(this.#child.process, SIGKILL)
    this.#waitForChild()
  }

  #pipe(): Pipe {
    checkResult(this.#native.createPipe(this.#scratch), "make a pipe")
    const [readEnd, writeEnd] = this.#arena.words.subarray(this.#scratch >> 2, (this.#scratch >> 2) + 2)
    for (const end of [readEnd, writeEnd]) this.#native.fileControl(end, FileCommand.setStatusFlags, 0)
    return { readEnd, writeEnd }
  }

  #sendSettings(settings: DataPathSettings): void {
    const { writeEnd } = this.#pipes.settings
    const bytes = Buffer.from(JSON.stringify(settings))
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(writeEnd, bytes, at)
    } catch {
      // Nobody reads it any more: the reports say why.
    }
    this.#native.close(writeEnd)
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

  /** Blocks, so that signals end this process as usual, and all others with it. */
  #awaitReady(): number {
    const lines = new LineSplitter()
    const bytes = new Uint8Array(READ_BYTES)
    for (;;) {
      const count = readSync(this.#pipes.report.readEnd, bytes)
      for (const line of lines.add(Buffer.from(bytes.subarray(0, count)).toString())) {
        const report = this.#take(line)
        if (report?.kind === "ready") return report.init
        if (report?.kind === "failed") throw new Quit(report.message)
        if (report?.kind === "ended") throw new Quit("The first process of the namespace ended while it was set up")
      }
      if (count === 0) throw new Quit(`The data path ended while it was starting (${this.#waitForChild()})`)
    }
  }

  /** A line from one of the processes; undefined if it has been dealt with. Throws {@link Quit} if that was the end. */
  #take(line: string): DataPathReport | undefined {
    const failure = parseStepFailure(line, this.#child.steps)
    if (failure === undefined) return parseReport(line)
    const { text, isWarning, status } = explainStepFailure(failure, this.#commandName)
    if (isWarning) {
      if (this.#options.verbosity !== "quiet") complain(text)
      return undefined
    }
    throw new Quit(text, status)
  }

  #writePidFile(): void {
    const path = this.#options.pidPath
    if (path === undefined) return
    try {
      writeFileSync(path, `${process.pid}\n`, { mode: PID_FILE_MODE })
    } catch (error) {
      throw new Quit(`Can't write the PID file ${path}: ${(error as Error).message}`)
    }
  }

  /** Waits until the data path's process has ended; answers how. */
  #waitForChild(): string {
    if (this.#hasChild && this.#native.waitPid(this.#child.process, 0, this.#scratch) > 0) {
      this.#hasChild = false
      const end = parseWaitStatus(this.#arena.words[this.#scratch >> 2])
      this.#childEnd = "signal" in end ? `signal ${end.signal}` : `status ${end.status}`
    }
    return this.#childEnd
  }
}

function argumentBytes(operands: readonly string[]): readonly (string | Uint8Array)[] {
  if (!operands.some((operand) => operand.includes(REPLACEMENT))) return operands
  return lastArguments(readFileSync("/proc/self/cmdline"), operands.length)
}

function runtimeOptions(): string[] {
  const options = process.env[NODE_OPTIONS_VARIABLE]?.split(" ") ?? []
  return [...process.execArgv, ...options.filter((option) => option !== "")]
}

function dataPathVariables(): string[] {
  const variables = Object.entries(process.env).filter(([name]) => !RUNTIME_VARIABLE.test(name))
  return variables.map(([name, value]) => `${name}=${value}`)
}
