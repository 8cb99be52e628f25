/** What the lists of steps for all kinds of namespaces have in common. */
import type { DataPathPipes } from "@demiflow/program/launch"
import { NamespaceFlag, ProcessControl, type Step } from "@demiflow/sys"
import { DataPathDescriptor } from "./descriptors.ts"

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
