/** The process that the user started, which leaves the data path behind in the background. */
import { resolve } from "node:path"
import { type Configuration, encodeConfiguration, type Options } from "@demiflow/config"
import { Arena } from "@demiflow/core"
import { complain, Quit } from "@demiflow/program/command"
import {
  DataPathProcess,
  decideConfiguration,
  handOver,
  parseReport,
  readIdentityFacts,
  requestedIdentity,
  runtimeCommand,
  writePidFile,
} from "@demiflow/program/launch"
import { checkStreamDescriptor } from "@demiflow/stream-link"
import { attachArena, errnoName, errnoSentence, type Native, NETLINK_ARENA_BYTES } from "@demiflow/sys"
import { announceReady } from "./announce.ts"
import { DataPathDescriptor, launchSteps } from "./launch-steps.ts"
import type { DataPathReport } from "./report.ts"

const ARENA_BYTES = NETLINK_ARENA_BYTES + 256 * 1024

/** Starts the data path; answers the exit status once it is ready. Throws an error with a `code`. */
export async function launch(given: Options): Promise<number> {
  const arena = new Arena(ARENA_BYTES)
  const native = attachArena(arena)
  const handedOver = handOver(given)
  const { options } = handedOver
  const { descriptor } = options
  if (descriptor !== undefined) checkStreamDescriptor(native, descriptor)
  const identity = requestedIdentity(options.runAs, readIdentityFacts())
  const runtime = runtimeCommand("passt", new URL("./data-path.cjs", import.meta.url))
  const child = new DataPathProcess(native, arena, (pipes) => launchSteps(pipes, descriptor, runtime, handedOver))
  try {
    const { configuration, linkLocalScope } = decide(native, arena, options)
    child.sendSettings({ configuration: encodeConfiguration(configuration), identity, linkLocalScope })
    const { socketPath } = awaitReady(child, options.verbosity === "quiet")
    writePidFile(options.pidPath, child.process)
    announceReady(configuration, socketPath, options.runAs === undefined && identity !== undefined)
    return 0
  } catch (error) {
    child.end()
    throw error
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

function awaitReady(child: DataPathProcess, isQuiet: boolean): { socketPath: string | undefined } {
  const ready = child.awaitReport((line) => {
    const failure = child.failedStep(line)
    if (failure !== undefined) {
      const { step, errno } = failure
      throw new Quit(`Can't go to the background (${step.kind}): ${errnoSentence(errno)} (${errnoName(errno)})`)
    }
    const report = parseReport<DataPathReport>(line)
    if (report?.kind === "failed") throw new Quit(report.message)
    if (report?.kind === "message" && !isQuiet) complain(report.message)
    return report?.kind === "ready" ? report : undefined
  })
  if (ready === undefined) throw new Quit(`The data path ended while it was starting (${child.wait()})`)
  return ready
}
