/**
 * How the data path of a namespace that exists comes into being, as a list of steps: a session of its own, which joins the
 * user namespace if it has to, and opens the network namespace from there.
 */
import {
  type DataPathPipes,
  dieWithParent,
  executeRuntime,
  type HandOver,
  keepStandardError,
  leaveStandardDescriptors,
  type RuntimeCommand,
} from "@demiflow/program/launch"
import { OpenFlag, type Step } from "@demiflow/sys"
import { connectPipes, joinUserNamespace, keepPrivileges } from "./common-steps.ts"
import { DataPathDescriptor, FIRST_FREE } from "./descriptors.ts"

/** What to start. */
export interface NamespacePlan {
  /** Path of the network namespace. */
  readonly network: string
  /** The user namespace to join, by its descriptor; undefined: none. */
  readonly userNamespace: number | undefined
  /** A pidfd of the process whose namespace it is; undefined: it is no process'. */
  readonly process: number | undefined
  /** True to leave the caller: nothing of theirs stays open, and nothing ends with them. */
  readonly isBackground: boolean
  /** The runtime and its arguments. */
  readonly dataPath: RuntimeCommand
  /** What the data path gives up before its runtime: `guardRuntime`. */
  readonly guard: readonly Step[]
  /** Descriptors that the user names. */
  readonly handOver: Pick<HandOver, "takeAway" | "keep">
  readonly pipes: DataPathPipes
}

/** The steps of the data path's process, up to the execution of the runtime. */
export function namespaceSteps(plan: NamespacePlan): Step[] {
  const { network, userNamespace, process, isBackground, dataPath, handOver, guard, pipes } = plan
  return [
    ...handOver.takeAway,
    ...(userNamespace === undefined ? [] : [joinUserNamespace(userNamespace), keepPrivileges]),
    // From inside, where privileges may be needed to get to it. Before the numbers below are taken: it may name one of ours.
    { kind: "open", path: network, flags: OpenFlag.readOnly, number: DataPathDescriptor.network },
    ...connectPipes(pipes),
    ...(process === undefined ? [] : [duplicateProcess(process)]),
    ...(isBackground ? leaveStandardDescriptors : keepStandardError),
    { kind: "closeOnExecFrom", first: process === undefined ? DataPathDescriptor.process : FIRST_FREE },
    ...handOver.keep,
    { kind: "newSession" },
    ...(isBackground ? [] : [dieWithParent]),
    ...guard,
    executeRuntime(dataPath),
  ]
}

function duplicateProcess(descriptor: number): Step {
  return { kind: "duplicate", descriptor, number: DataPathDescriptor.process }
}
