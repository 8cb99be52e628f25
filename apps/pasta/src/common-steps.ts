/** Steps that all kinds of namespaces have in common. */
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

/** A runtime with file capabilities isn't dumpable, and its files below /proc then belong to root. */
export const ownFilesBelowProc: Step = { kind: "control", option: ProcessControl.setDumpable, value: 1 }

/**
 * Leaves open in the data path only the descriptors placed at numbers from here on, and those that the user's options
 * name.
 */
export const closeInherited: Step = { kind: "closeOnExecFrom", first: DataPathDescriptor.network }

/** The pipes and other connections of a data path of pasta. */
export interface PastaPipes extends DataPathPipes {
  readonly empty: Pipe
  /** The two ends of the helper's socket. */
  readonly namespace: { readonly ours: number; readonly theirs: number }
  /** The helper ends when the writing end is closed. */
  readonly helperLife: Pipe
}

/** All ends of connections, but for those that a process needs. */
export function endsExcept(pipes: PastaPipes, needed: readonly number[]): number[] {
  const ends = Object.values(pipes).flatMap((pair): number[] => Object.values(pair))
  return ends.filter((end) => !needed.includes(end))
}

/** The parts that every kind of data path has in common. */
export interface PastaWall extends Pick<WallPlan, "native" | "facts" | "changesIdentity"> {
  readonly pipes: PastaPipes
}

/** Joins a user namespace. */
export function joinUserNamespace(descriptor: number): Step {
  return { kind: "enterNamespace", descriptor, type: NamespaceFlag.user }
}

/** Passes the data path the ends of its connections. */
export function connectPipes({ settings, report, namespace, empty, helperLife }: PastaPipes): Step[] {
  const pairs = [
    [settings.readEnd, DataPathDescriptor.settings],
    [report.writeEnd, DataPathDescriptor.report],
    [namespace.ours, DataPathDescriptor.namespace],
    [empty.writeEnd, DataPathDescriptor.empty],
    [helperLife.writeEnd, DataPathDescriptor.helperLife],
  ] as const
  return pairs.map(([descriptor, number]) => ({ kind: "duplicate", descriptor, number }))
}

/**
 * Capabilities that root's helper needs: to find and enter a namespace, to act there, and to empty its bounding set.
 * See capabilities(7).
 */
const CAPABILITIES_OF_HELPER = {
  overrideAccess: 1,
  readAndSearch: 2,
  limitCapabilities: 8,
  bindPrivilegedPorts: 10,
  administerNetwork: 12,
  trace: 19,
  administerSystem: 21,
}

/**
 * Starts the helper that acts in the namespace. It executes its program here, outside: then no process inside can trace
 * it, or open its memory.
 */
export function startHelper({ facts, pipes }: Pick<PastaWall, "facts" | "pipes">): Step[] {
  const limit: Step[] = isRoot(facts)
    ? [{ kind: "limitCapabilities", kept: Object.values(CAPABILITIES_OF_HELPER), mayFail: true }]
    : []
  const { namespace, helperLife } = pipes
  const unused: Step = { kind: "close", descriptor: helperLife.writeEnd }
  return [
    { kind: "spawn", flags: 0, steps: [...limit, unused, ...helperSteps(namespace.theirs, helperLife.readEnd)] },
    { kind: "openChild", number: DataPathDescriptor.helper },
  ]
}

/** Held by the data path alone: other processes end when these ends are closed. */
const notInherited = [DataPathDescriptor.helperLife, DataPathDescriptor.initLife]

/** The wall's first half, after everything that needs privileges or the host's files. */
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
      ...endsExcept(pipes, [pipes.empty.readEnd]),
      ...notInherited,
      DataPathDescriptor.settings,
      DataPathDescriptor.report,
      DataPathDescriptor.empty,
      DataPathDescriptor.namespace,
    ],
  })
}

/** Capability 21: a process with it may enter namespaces that belong to user namespaces below its own. */
const ADMINISTER_SYSTEM = CAPABILITIES_OF_HELPER.administerSystem

/**
 * True if the process may enter a network namespace that belongs to a user namespace below, without joining the latter.
 */
export function mayEnterFromAbove({ capabilities }: IdentityFacts): boolean {
  return capabilities.includes(ADMINISTER_SYSTEM)
}
