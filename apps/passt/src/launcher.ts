/** The process that the user started, if it leaves the data path behind in the background. */
import { resolve } from "node:path"
import { type Configuration, encodeConfiguration, type Options } from "@demiflow/config"
import { Arena } from "@demiflow/core"
import { complain, Quit } from "@demiflow/program/command"
import {
  type Birth,
  type DataPathPipes,
  DataPathProcess,
  decideConfiguration,
  guardRuntime,
  handOver,
  type Identity,
  PidFile,
  parseReport,
  readIdentityFacts,
  requestedIdentity,
  runtimeCommand,
} from "@demiflow/program/launch"
import { checkStreamDescriptor } from "@demiflow/stream-link"
import { attachArena, errnoName, errnoSentence, type Native, NETLINK_ARENA_BYTES } from "@demiflow/sys"
import { announceReady } from "./announce.ts"
import { DataPathDescriptor, launchSteps } from "./launch-steps.ts"
import type { DataPathReport } from "./report.ts"

const ARENA_BYTES = NETLINK_ARENA_BYTES + 256 * 1024

/**
 * Starts the data path, and returns once it is ready. Throws an error with a `code`.
 *
 * @param birth what was given up before
 */
export function launch(options: Options, birth: Birth): void {
  const launcher = new Launcher(options, birth)
  try {
    launcher.start()
  } catch (error) {
    launcher.endChild()
    throw error
  }
}

class Launcher {
  readonly #options: Options
  readonly #arena = new Arena(ARENA_BYTES)
  readonly #native = attachArena(this.#arena)
  readonly #identity: Identity | undefined
  readonly #child: DataPathProcess
  readonly #hasHelper: boolean
  readonly #hasNamespaces: boolean
  #pidFile: PidFile | undefined

  /** Starts the data path's process. Its runtime starts while the configuration is being decided here. */
  constructor(given: Options, { helper, hasNamespaces }: Birth) {
    const handedOver = handOver(given)
    this.#options = handedOver.options
    this.#hasHelper = helper !== undefined
    this.#hasNamespaces = hasNamespaces
    const { descriptor, runAs } = this.#options
    const native = this.#native
    this.#identity = requestedIdentity(runAs, readIdentityFacts())
    if (descriptor !== undefined) checkStreamDescriptor(native, descriptor)
    const steps = (pipes: DataPathPipes) =>
      launchSteps({
        pipes,
        helper: helper?.descriptor,
        hypervisor: descriptor,
        dataPath: runtimeCommand("passt", new URL("./data-path.cjs", import.meta.url)),
        handOver: handedOver,
        guard: this.#hasHelper ? [] : guardRuntime(native),
      })
    // Closed here, so that the hypervisor's connection ends with the data path.
    const theirs = [helper?.descriptor, descriptor].filter((number) => number !== undefined)
    this.#child = new DataPathProcess(native, this.#arena, steps, theirs)
  }

  /** Returns once everything is ready and the configuration is printed. */
  start(): void {
    const options = this.#options
    const identity = this.#identity
    const { configuration, linkLocalScope } = decide(this.#native, this.#arena, options)
    // Opened now: this process's file system is emptied together with that of the data path.
    this.#pidFile = PidFile.open(options.pidPath)
    this.#child.sendSettings({
      configuration: encodeConfiguration(configuration),
      identity,
      linkLocalScope,
      helper: this.#hasHelper ? DataPathDescriptor.helper : undefined,
      hasNamespaces: this.#hasNamespaces,
    })
    const { socketPath } = this.#awaitReady()
    this.#pidFile?.write(this.#child.process)
    announceReady(configuration, socketPath, options.runAs === undefined && identity !== undefined)
  }

  /** Ends the data path if it still runs, and undoes what was done for it. */
  endChild(): void {
    this.#child.end()
    this.#pidFile?.discard()
  }

  #awaitReady(): { socketPath: string | undefined } {
    const ready = this.#child.awaitReport((line) => {
      const report = this.#take(line)
      return report?.kind === "ready" ? report : undefined
    })
    if (ready === undefined) throw new Quit(`The data path ended while it was starting (${this.#child.wait()})`)
    return ready
  }

  /**
   * Parses the report in a line. Returns undefined if it needs no further action. Throws {@link Quit} if the data path
   * has failed.
   */
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

/** Adapts the configuration to a process with another working directory and other descriptors. */
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
