/** What the lists of steps for all kinds of namespaces have in common. */
import type { DataPathPipes, RuntimeCommand } from "@demiflow/program/launch"
import { NamespaceFlag, OpenFlag, ProcessControl, type Step } from "@demiflow/sys"
import { DataPathDescriptor } from "./descriptors.ts"

const SIGKILL = 9

/** A runtime with file capabilities isn't dumpable, and files below /proc are then root's. */
export const ownFilesBelowProc: Step = { kind: "control", option: ProcessControl.setDumpable, value: 1 }

/** Joins a user namespace. */
export function joinUserNamespace(descriptor: number): Step {
  return { kind: "enterNamespace", descriptor, type: NamespaceFlag.user }
}

/**
 * Has a runtime that is executed keep the privileges over a user namespace that was joined. The kernel takes them from who
 * isn't user 0 in there, and who joins may have another number in there, or none.
 */
export const keepPrivileges: Step = { kind: "keepCapabilities" }

/** Gives the data path the pipes that it reads its settings from and reports to. */
export function connectPipes({ settings, report }: DataPathPipes): Step[] {
  return [
    { kind: "duplicate", descriptor: settings.readEnd, number: DataPathDescriptor.settings },
    { kind: "duplicate", descriptor: report.writeEnd, number: DataPathDescriptor.report },
  ]
}

/** Standard input is empty, standard output is the command's alone, or nobody's, and standard error stays. */
export const keepStandardError: readonly Step[] = [
  { kind: "open", path: "/dev/null", flags: OpenFlag.readWrite, number: 0 },
  { kind: "duplicate", descriptor: 2, number: 1, mayFail: true },
  keepOpen(2),
]

/** None of the standard descriptors stays the caller's. */
export const leaveStandardDescriptors: readonly Step[] = [0, 1, 2].map((number) => ({
  kind: "open",
  path: "/dev/null",
  flags: OpenFlag.readWrite,
  number,
}))

/** Has the process end with the one that started it. A change of user undoes it. */
export const dieWithParent: Step = { kind: "dieWithParent", signal: SIGKILL }

/** Becomes the data path. */
export function executeRuntime({ path, arguments: words, variables }: RuntimeCommand): Step {
  return { kind: "execute", paths: [path], arguments: words, variables }
}

/** Leaves a descriptor as the caller had it, open or not: the runtime has marked it to be closed on exec. */
export function keepOpen(descriptor: number): Step {
  return { kind: "duplicate", descriptor, number: descriptor, mayFail: true }
}
