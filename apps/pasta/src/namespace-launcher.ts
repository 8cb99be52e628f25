/**
 * The process that the user started to connect an existing namespace: it leaves the data path behind, or stays with it.
 */
import { constants } from "node:os"
import { encodeConfiguration, type Options, runsInBackground } from "@demiflow/config"
import { Arena } from "@demiflow/core"
import { Quit } from "@demiflow/program/command"
import {
  announce,
  createPipe,
  type DataPathPipes,
  DataPathProcess,
  decideConfiguration,
  endOnSignals,
  guardLauncher,
  handOver,
  type Identity,
  type IdentityFacts,
  isRoot,
  type Outcome,
  readIdentityFacts,
  requestedIdentity,
  runLauncher,
  runtimeCommand,
  writePidFile,
} from "@demiflow/program/launch"
import { attachArena, createHelperSocket, type Native, NETLINK_ARENA_BYTES } from "@demiflow/sys"
import { mayEnterFromAbove } from "./common-steps.ts"
import { type ExistingNamespace, networkPath, processOf } from "./namespace-files.ts"
import { namespaceSteps } from "./namespace-steps.ts"
import { ReportReader } from "./report-reader.ts"
import { openOwner, openUserNamespace } from "./user-namespace.ts"

const SIGTERM = 15
const ARENA_BYTES = NETLINK_ARENA_BYTES + 256 * 1024

/** Connects the namespace. Throws an error with a `code`. */
export async function launchForNamespace(options: Options, target: ExistingNamespace): Promise<Outcome> {
  return runLauncher(new Launcher(options, target), options.foreground)
}

class Launcher {
  readonly #options: Options
  readonly #arena = new Arena(ARENA_BYTES)
  readonly #native = attachArena(this.#arena)
  readonly #identity: Identity | undefined
  readonly #child: DataPathProcess
  readonly #reports: ReportReader
  #outcome: () => Outcome = () => 0

  /** Starts the data path's process. Its runtime starts while the configuration is being decided here. */
  constructor(given: Options, target: ExistingNamespace) {
    const handedOver = handOver(given)
    const { options } = handedOver
    this.#options = options
    const facts = readIdentityFacts()
    this.#identity = requestedIdentity(options.runAs, facts)
    const { userNamespace: userNamespacePath } = target
    const native = this.#native
    const scratch = this.#arena.reserve(8, 8, "the namespace")
    const empty = createPipe(native, this.#arena, scratch)
    const helperLife = createPipe(native, this.#arena, scratch)
    const namespace = createHelperSocket(native, this.#arena)
    const plan = {
      native,
      facts,
      changesIdentity: this.#identity !== undefined,
      network: networkPath(target),
      process: openProcess(this.#native, target),
      userNamespace: this.#unlessRoot(openUserNamespaceOf(this.#native, target), facts),
      isBackground: !options.foreground,
      dataPath: runtimeCommand("pasta", new URL("./data-path.cjs", import.meta.url)),
      handOver: handedOver,
    }
    const named = [plan.process, plan.userNamespace].filter((descriptor) => descriptor !== undefined)
    const theirs = [
      ...named,
      empty.readEnd,
      empty.writeEnd,
      namespace.ours,
      namespace.theirs,
      ...Object.values(helperLife),
    ]
    const steps = (pipes: DataPathPipes) =>
      namespaceSteps({ ...plan, pipes: { ...pipes, empty, namespace, helperLife } })
    this.#child = new DataPathProcess(native, this.#arena, steps, theirs)
    this.#reports = new ReportReader(this.#child, options.verbosity, { userNamespacePath })
  }

  /** Returns once everything is ready and the configuration is printed. */
  start(): void {
    const { configuration, linkLocalScope } = decideConfiguration(this.#native, this.#arena, this.#options, "pasta")
    const encoded = encodeConfiguration(configuration)
    this.#child.sendSettings({ configuration: encoded, identity: this.#identity, linkLocalScope })
    this.#reports.awaitReady()
    // Before anything reports that it is ready.
    if (this.#options.foreground)
      this.#outcome = endOnSignals({ stop: () => this.#native.kill(this.#child.process, SIGTERM) })
    else this.#reports.awaitLeave()
    writePidFile(this.#options.pidPath, runsInBackground(configuration) ? this.#child.process : process.pid)
    const isNobody = this.#options.runAs === undefined && this.#identity !== undefined
    announce(configuration, isNobody)
  }

  /** Waits for the end of the data path. */
  async stay(): Promise<Outcome> {
    const ended = this.#child.awaitLastReport((line) => {
      const report = this.#reports.take(line)
      return report?.kind === "ended" ? report.status : undefined
    })
    guardLauncher(this.#native, this.#arena, this.#child.process, this.#identity !== undefined)
    const status = await ended
    if (status !== undefined) return status === 0 ? this.#outcome() : status
    throw new Quit(`The data path ended unexpectedly (${this.#child.wait()})`)
  }

  /** Ends the data path if it still runs. */
  endChild(): void {
    this.#child.end()
  }

  /**
   * Root doesn't join the user namespace: from outside, root may act in every network namespace, read its own files, and
   * become nobody, a user that the namespace may not map. It is opened all the same, since a namespace that the user
   * names must exist. Root of a container may lack the privilege, and joins.
   */
  #unlessRoot(descriptor: number | undefined, facts: IdentityFacts): number | undefined {
    if (descriptor === undefined || !isRoot(facts) || !mayEnterFromAbove(facts)) return descriptor
    this.#native.close(descriptor)
    return undefined
  }
}

/**
 * Opens the user namespace to join; undefined if there is none, or it is ours. If the user names none and the network
 * namespace is a process's, that is its owner: only root can enter a network namespace from outside its owner.
 */
function openUserNamespaceOf(native: Native, target: ExistingNamespace): number | undefined {
  if (target.userNamespace !== undefined) return openUserNamespace(native, target.userNamespace)
  return target.kind === "process" ? openOwner(native, networkPath(target)) : undefined
}

/**
 * Opens a pidfd of the process that the namespace is named by; undefined if it is named by another path. Opened before
 * the namespace: if the process is still alive afterwards, the namespace is that of this process, and not of a later
 * one with the same id.
 */
function openProcess(native: Native, target: ExistingNamespace): number | undefined {
  const process = processOf(target)
  if (process === undefined) return undefined
  const descriptor = native.pidfdOpen(process)
  if (descriptor >= 0) return descriptor
  // Threads have an entry in /proc as well, and no pidfd.
  throw new Quit(-descriptor === constants.errno.ESRCH ? `There is no process ${process}` : `${process} is no process`)
}
