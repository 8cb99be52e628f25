/** What the lists of steps for all kinds of namespaces have in common. */
import {
  type DataPathPipes,
  type IdentityFacts,
  isRoot,
  type Pipe,
  type WallPlan,
  wallSteps,
} from "@demiflow/program/launch"
import { helperSteps, NamespaceFlag, ProcessControl, type Step } from "@demiflow/sys"
import { DataPathDescriptor } from "./descriptors.ts"

/** A runtime with file capabilities isn't dumpable, and files below /proc are then root's. */
export const ownFilesBelowProc: Step = { kind: "control", option: ProcessControl.setDumpable, value: 1 }

/** Has only what is placed at a number from here on stay open in the data path, beside what the user names. */
export const closeInherited: Step = { kind: "closeOnExecFrom", first: DataPathDescriptor.network }

/** The pipes of a data path of pasta, and what else it is connected by. */
export interface PastaPipes extends DataPathPipes {
  readonly empty: Pipe
  /** The two ends of the helper's socket. */
  readonly namespace: { readonly ours: number; readonly theirs: number }
}

/** What every kind of data path has in common. */
export interface PastaWall extends Pick<WallPlan, "native" | "facts" | "changesIdentity"> {
  readonly pipes: PastaPipes
}

/** Joins a user namespace. */
export function joinUserNamespace(descriptor: number): Step {
  return { kind: "enterNamespace", descriptor, type: NamespaceFlag.user }
}

/** Gives the data path what it is connected by. */
export function connectPipes({ settings, report, namespace, empty }: PastaPipes): Step[] {
  const pairs = [
    [settings.readEnd, DataPathDescriptor.settings],
    [report.writeEnd, DataPathDescriptor.report],
    [namespace.ours, DataPathDescriptor.namespace],
    [empty.writeEnd, DataPathDescriptor.empty],
  ] as const
  return pairs.map(([descriptor, number]) => ({ kind: "duplicate", descriptor, number }))
}

/** What root's helper needs: to find and enter a namespace, and to act there. See capabilities(7). */
const CAPABILITIES_OF_HELPER = {
  overrideAccess: 1,
  readAndSearch: 2,
  bindPrivilegedPorts: 10,
  administerNetwork: 12,
  trace: 19,
  administerSystem: 21,
}

/**
 * Starts the helper that acts in the namespace. It executes its program here, outside: nobody inside can trace it then, or open its
 * memory.
 */
export function startHelper({ facts, pipes }: Pick<PastaWall, "facts" | "pipes">): Step[] {
  const limit: Step[] = isRoot(facts)
    ? [{ kind: "limitCapabilities", kept: Object.values(CAPABILITIES_OF_HELPER), mayFail: true }]
    : []
  return [
    { kind: "spawn", flags: 0, steps: [...limit, ...helperSteps(pipes.namespace.theirs)] },
    { kind: "openChild", number: DataPathDescriptor.helper },
  ]
}

/** The wall's first half, behind everything that takes privileges or the host's files. */
export function raiseWallAround(wall: PastaWall, isInOwnUserNamespace: boolean): Step[] {
  const { native, facts, changesIdentity, pipes } = wall
  return wallSteps({
    native,
    facts,
    changesIdentity,
    isInOwnUserNamespace,
    folder: undefined,
    empty: pipes.empty.readEnd,
    helper: DataPathDescriptor.emptying,
    notForHelper: [
      ...Object.values(pipes.settings),
      pipes.report.writeEnd,
      pipes.empty.writeEnd,
      ...Object.values(pipes.namespace),
      DataPathDescriptor.settings,
      DataPathDescriptor.report,
      DataPathDescriptor.empty,
      DataPathDescriptor.namespace,
    ],
  })
}

/** Capability 21: with it, a process may enter namespaces that belong to user namespaces below its own. */
const ADMINISTER_SYSTEM = CAPABILITIES_OF_HELPER.administerSystem

/** True for who may enter a network namespace of a user namespace below without joining that. */
export function mayEnterFromAbove({ capabilities }: IdentityFacts): boolean {
  return capabilities.includes(ADMINISTER_SYSTEM)
}
