/** The process that the user started: it leaves the data path behind in the background, or stays with it. */
import { dirname, resolve } from "node:path"
import { type Configuration, defaultSocketPaths, encodeConfiguration, type Options } from "@demiflow/config"
import { Arena } from "@demiflow/core"
import { complain, Quit } from "@demiflow/program/command"
import {
  changeIdentity,
  closeInherited,
  createPipe,
  type DataPathPipes,
  DataPathProcess,
  decideConfiguration,
  endOnSignals,
  handOver,
  type Identity,
  type Outcome,
  parseReport,
  passtCalls,
  printSandbox,
  readIdentityFacts,
  requestedIdentity,
  runLauncher,
  runtimeCommand,
  wallSteps,
  writePidFile,
} from "@demiflow/program/launch"
import { checkStreamDescriptor } from "@demiflow/stream-link"
import { attachArena, errnoName, errnoSentence, type Native, NETLINK_ARENA_BYTES } from "@demiflow/sys"
import { announceReady } from "./announce.ts"
import { DataPathDescriptor, launchSteps } from "./launch-steps.ts"
import type { DataPathReport } from "./report.ts"

const SIGTERM = 15
const ARENA_BYTES = NETLINK_ARENA_BYTES + 256 * 1024

/** Starts the data path; answers how to end, which is once it is ready, or once it has ended. Throws an error with a `code`. */
export async function launch(options: Options): Promise<Outcome> {
  if (options.printsSandbox) return printSandbox(options.runAs, passtCalls(process.pid, []))
  // A launcher that returns at once closes everything by its end.
  if (options.foreground) closeInherited(process.argv, options.descriptor)
  return runLauncher(new Launcher(options), options.foreground)
}

class Launcher {
  readonly #options: Options
  readonly #arena = new Arena(ARENA_BYTES)
  readonly #native = attachArena(this.#arena)
  readonly #identity: Identity | undefined
  readonly #child: DataPathProcess
  #outcome: () => Outcome = () => 0

  /** Starts the data path's process. Its runtime starts up while the configuration is being decided here. */
  constructor(given: Options) {
    const handedOver = handOver(given)
    this.#options = handedOver.options
    const { descriptor, foreground, runAs, socketPath } = this.#options
    // The name by which processes are looked for, and ended.
    if (foreground) process.title = "passt"
    const native = this.#native
    const facts = readIdentityFacts()
    this.#identity = requestedIdentity(runAs, facts)
    const changesIdentity = this.#identity !== undefined
    if (descriptor !== undefined) checkStreamDescriptor(native, descriptor)
    const empty = createPipe(native, this.#arena, this.#arena.reserve(8, 8))
    const steps = (pipes: DataPathPipes) =>
      launchSteps({
        pipes: { ...pipes, empty },
        hypervisor: descriptor,
        isBackground: !foreground,
        dataPath: runtimeCommand("passt", new URL("./data-path.cjs", import.meta.url)),
        handOver: handedOver,
        wall: wallSteps({
          native,
          facts,
          changesIdentity,
          folder: descriptor === undefined ? dirname(resolve(socketPath ?? defaultSocketPaths()[0])) : undefined,
          empty: empty.readEnd,
          helper: DataPathDescriptor.helper,
          notForHelper: [
            ...Object.values(pipes.settings),
            empty.writeEnd,
            DataPathDescriptor.settings,
            DataPathDescriptor.report,
            DataPathDescriptor.empty,
            DataPathDescriptor.hypervisor,
          ],
        }),
      })
    // The hypervisor's connection ends with the data path.
    const theirs = [...Object.values(empty), ...(descriptor === undefined ? [] : [descriptor])]
    this.#child = new DataPathProcess(native, this.#arena, steps, theirs)
  }

  /** Returns once everything is ready, and what was decided is printed. */
  start(): void {
    const options = this.#options
    const identity = this.#identity
    const { configuration, linkLocalScope } = decide(this.#native, this.#arena, options)
    this.#child.sendSettings({ configuration: encodeConfiguration(configuration), identity, linkLocalScope })
    const { socketPath } = this.#awaitReady()
    // Before anything says that it is ready.
    if (options.foreground) {
      this.#outcome = endOnSignals({ stop: () => this.#native.kill(this.#child.process, SIGTERM) })
    }
    writePidFile(options.pidPath, options.foreground ? process.pid : this.#child.process)
    // This process stays, and reads what the data path writes.
    if (options.foreground && identity !== undefined) changeIdentity(identity)
    announceReady(configuration, socketPath, options.runAs === undefined && identity !== undefined)
  }

  /** Waits for the end of the data path. */
  async stay(): Promise<Outcome> {
    const hasEnded = await this.#child.awaitLastReport((line) => this.#take(line)?.kind === "ended" || undefined)
    if (!hasEnded) throw new Quit(`The data path ended unexpectedly (${this.#child.wait()})`)
    this.#child.wait()
    return this.#outcome()
  }

  /** Ends the data path, if it is still there. */
  endChild(): void {
    this.#child.end()
  }

  #awaitReady(): { socketPath: string | undefined } {
    const ready = this.#child.awaitReport((line) => {
      const report = this.#take(line)
      return report?.kind === "ready" ? report : undefined
    })
    if (ready === undefined) throw new Quit(`The data path ended while it was starting (${this.#child.wait()})`)
    return ready
  }

  /** The report in a line; undefined if it has been dealt with. Throws {@link Quit} if that was the end. */
  #take(line: string): DataPathReport | undefined {
    const failure = this.#child.failedStep(line)
    if (failure !== undefined) {
      const { step, errno } = failure
      if (step.mayFail) return undefined
      throw new Quit(`Can't start the data path (${step.kind}): ${errnoSentence(errno)} (${errnoName(errno)})`)
    }
    const report = parseReport<DataPathReport>(line)
    if (report?.kind === "failed") throw new Quit(report.message)
    if (report?.kind !== "message") return report
    if (this.#options.verbosity !== "quiet") complain(report.message)
    return undefined
  }
}

/** The configuration as it is for a process with another working directory and other descriptors. */
function decide(
  native: Native,
  arena: Arena,
  options: Options,
): { configuration: Configuration; linkLocalScope: number | undefined } {
  const { configuration, linkLocalScope } = decideConfiguration(native, arena, options, "passt")
  const { hypervisor } = configuration
  if (hypervisor === undefined) return { configuration, linkLocalScope }
  const { socketPath, descriptor } = hypervisor
  const elsewhere = {
    ...hypervisor,
    socketPath: socketPath === undefined ? undefined : resolve(socketPath),
    descriptor: descriptor === undefined ? undefined : DataPathDescriptor.hypervisor,
  }
  return { configuration: { ...configuration, hypervisor: elsewhere }, linkLocalScope }
}
