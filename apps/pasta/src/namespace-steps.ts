/**
 * The steps that start the data path of an existing namespace: a session of its own, which stays outside. A helper
 * enters on its behalf.
 */
import {
  dieWithParent,
  executeRuntime,
  type HandOver,
  keepStandardError,
  leaveStandardDescriptors,
  type RuntimeCommand,
} from "@demiflow/program/launch"
import { OpenFlag, type Step } from "@demiflow/sys"
import { closeInherited, connectPipes, type PastaWall, raiseWallAround, startHelper } from "./common-steps.ts"
import { DataPathDescriptor } from "./descriptors.ts"

/** What to start. */
export interface NamespacePlan extends PastaWall {
  /** Path of the network namespace. */
  readonly network: string
  /** The user namespace that the helper joins, by its descriptor; undefined: none. */
  readonly userNamespace: number | undefined
  /** A pidfd of the process whose namespace it is; undefined if it isn't a process's. */
  readonly process: number | undefined
  /** True to detach from the caller: none of the caller's descriptors stays open, and nothing ends with the caller. */
  readonly isBackground: boolean
  /** The runtime and its arguments. */
  readonly dataPath: RuntimeCommand
  /** Descriptors that the user's options name. */
  readonly handOver: Pick<HandOver, "takeAway" | "keep">
}

/** The steps of the data path's process, up to the execution of the runtime. */
export function namespaceSteps(plan: NamespacePlan): Step[] {
  const { network, userNamespace, process, isBackground, dataPath, handOver, pipes } = plan
  return [
    ...handOver.takeAway,
    closeInherited,
    // First: the helper stays where the namespace can be entered from.
    ...startHelper(plan),
    // The path may be that of a descriptor that the user passed. Where only a process inside may open it, the helper
    // does.
    { kind: "open", path: network, flags: OpenFlag.readOnly, number: DataPathDescriptor.network, mayFail: true },
    ...connectPipes(pipes),
    ...duplicate(process, DataPathDescriptor.process),
    ...duplicate(userNamespace, DataPathDescriptor.userNamespace),
    ...(isBackground ? leaveStandardDescriptors : keepStandardError),
    ...handOver.keep,
    ...raiseWallAround(plan, false),
    { kind: "newSession" },
    ...(isBackground ? [] : [dieWithParent]),
    executeRuntime(dataPath),
  ]
}

function duplicate(descriptor: number | undefined, number: number): Step[] {
  return descriptor === undefined ? [] : [{ kind: "duplicate", descriptor, number }]
}
