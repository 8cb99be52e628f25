/**
 * The process that the user started to run a command: makes the decisions, starts the others, waits, and ends as the
 * command did.
 */
import { readFileSync } from "node:fs"
import { encodeConfiguration, type NamespaceTarget, type Options } from "@demiflow/config"
import { Arena } from "@demiflow/core"
import { Quit } from "@demiflow/program/command"
import {
  announce,
  createPipe,
  DataPathProcess,
  decideConfiguration,
  guardLauncher,
  handOver,
  type Identity,
  type IdentityFacts,
  isRoot,
  type Pipe,
  readIdentityFacts,
  requestedIdentity,
  runtimeCommand,
  writePidFile,
} from "@demiflow/program/launch"
import {
  attachArena,
  createHelperSocket,
  lastArguments,
  type Native,
  NETLINK_ARENA_BYTES,
  roomForArguments,
} from "@demiflow/sys"
import { chooseCommand } from "./command.ts"
import { type CommandUserNamespace, commandSteps } from "./command-steps.ts"
import { callersOpenFileLimit } from "./limits.ts"
import { ReportReader } from "./report-reader.ts"
import { passSignalsOn } from "./supervise.ts"
import { ForegroundTerminal } from "./terminal.ts"
import { openUserNamespace } from "./user-namespace.ts"

/** Without the command's own arguments. */
const ARENA_BYTES = NETLINK_ARENA_BYTES + 256 * 1024
/** Replaces bytes of an argument that are not valid UTF-8. */
const REPLACEMENT = "\ufffd"

/** A new namespace, for a command. */
export type NewNamespace = Extract<NamespaceTarget, { kind: "new" }>

/**
 * Runs the command in a connected namespace. Returns the status to exit with. Throws an error with a `code` whose
 * message is for the user.
 */
export async function launchCommand(
  options: Options,
  target: NewNamespace,
  operands: readonly string[],
): Promise<number> {
  const launcher = new Launcher(options, target, operands)
  try {
    launcher.start()
    // The data path ends by itself afterwards. The kernel needs some 20 ms to delete its tap device, which we don't
    // wait for.
    return await launcher.finish()
  } catch (error) {
    launcher.endChild()
    throw error
  }
}

class Launcher {
  readonly #options: Options
  readonly #arena: Arena
  readonly #native: Native
  readonly #terminal: ForegroundTerminal
  readonly #identity: Identity | undefined
  readonly #go: Pipe
  readonly #child: DataPathProcess
  readonly #reports: ReportReader
  #init = 0

  /** Starts the data path's process. Its runtime starts while the configuration is being decided here. */
  constructor(given: Options, { userNamespace, hasPidNamespace }: NewNamespace, operands: readonly string[]) {
    const handedOver = handOver(given)
    const { options } = handedOver
    this.#options = options
    this.#arena = new Arena(ARENA_BYTES + roomForArguments(operands))
    const native = attachArena(this.#arena)
    this.#native = native
    this.#terminal = new ForegroundTerminal(this.#native)
    const command = chooseCommand(operands, process.env, argumentBytes(operands))
    const scratch = this.#arena.reserve(8, 8, "the start of the command")
    const mapped = createPipe(this.#native, this.#arena, scratch)
    const go = createPipe(this.#native, this.#arena, scratch)
    this.#go = go
    const facts = readIdentityFacts()
    const joined = userNamespace.kind === "path" ? openUserNamespace(this.#native, userNamespace.path) : undefined
    this.#identity = requestedIdentity(options.runAs, facts)
    const empty = createPipe(native, this.#arena, scratch)
    const helperLife = createPipe(native, this.#arena, scratch)
    const namespace = createHelperSocket(native, this.#arena)
    const plan = {
      native,
      facts,
      changesIdentity: this.#identity !== undefined,
      command,
      userNamespace: chooseUserNamespace(userNamespace.kind === "new", joined, facts, this.#identity),
      hasPidNamespace,
      openFiles: callersOpenFileLimit(process.ppid),
      dataPath: runtimeCommand("pasta", new URL("./data-path.cjs", import.meta.url)),
      handOver: handedOver,
    }
    this.#child = new DataPathProcess(
      this.#native,
      this.#arena,
      (pipes) => commandSteps({ ...plan, pipes: { ...pipes, mapped, go, empty, namespace, helperLife } }),
      [
        ...[
          mapped.readEnd,
          mapped.writeEnd,
          go.readEnd,
          empty.readEnd,
          empty.writeEnd,
          namespace.ours,
          namespace.theirs,
          ...Object.values(helperLife),
        ],
        ...(joined === undefined ? [] : [joined]),
      ],
    )
    this.#reports = new ReportReader(this.#child, options.verbosity, {
      commandName: command.name,
      userNamespacePath: userNamespace.kind === "path" ? userNamespace.path : undefined,
      changesIdentity: this.#identity !== undefined,
    })
  }

  /** Has everything set up, then starts the command. */
  start(): void {
    const { configuration, linkLocalScope } = decideConfiguration(this.#native, this.#arena, this.#options, "pasta")
    const encoded = encodeConfiguration(configuration)
    this.#child.sendSettings({ configuration: encoded, identity: this.#identity, linkLocalScope })
    announce(configuration, this.#options.runAs === undefined && this.#identity !== undefined)
    const { init } = this.#reports.awaitReady()
    if (init === undefined) throw new Quit("The data path has lost the first process of the namespace")
    passSignalsOn(this.#native, { init, isForeground: this.#terminal.isForeground })
    writePidFile(this.#options.pidPath, process.pid)
    this.#native.write(this.#go.writeEnd, this.#arena.reserve(1, 1, "the start of the command"), 1)
    this.#native.close(this.#go.writeEnd)
    this.#init = init
  }

  /** Waits for the end of the command. Returns its status. */
  async finish(): Promise<number> {
    const takeLine = (line: string): number | undefined => {
      const report = this.#reports.take(line)
      return report?.kind === "ended" ? report.status : undefined
    }
    try {
      const ended = this.#child.awaitLastReport(takeLine)
      guardLauncher(this.#native, this.#arena, this.#init, this.#identity !== undefined)
      const status = await ended
      if (status !== undefined) return status
      throw new Quit(`The data path ended unexpectedly (${this.#child.wait()}), and the command with it`)
    } finally {
      this.#terminal.reclaim()
    }
  }

  /** Ends the data path if it still runs, and with it every process below it. */
  endChild(): void {
    this.#child.kill()
  }
}

/** Decides which user namespace owns the command's other namespaces: a new one, the one that is joined, or ours. */
function chooseUserNamespace(
  isNew: boolean,
  joined: number | undefined,
  facts: IdentityFacts,
  identity: Identity | undefined,
): CommandUserNamespace {
  const { user, group } = identity ?? facts
  if (isNew) return { kind: "new", mapped: { user, group } }
  if (joined !== undefined) return { kind: "joined", descriptor: joined, becomesUser0: isRoot(facts) }
  return { kind: "current", group, becomes: identity }
}

function argumentBytes(operands: readonly string[]): readonly (string | Uint8Array)[] {
  if (!operands.some((operand) => operand.includes(REPLACEMENT))) return operands
  return lastArguments(readFileSync("/proc/self/cmdline"), operands.length)
}
