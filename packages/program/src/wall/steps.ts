/** The wall's first half, as steps: what a data path gives up before a runtime exists in it. */
import {
  encodeFilter,
  MountFlag,
  NamespaceFlag,
  type Native,
  OpenFlag,
  ProcessControl,
  ResourceLimit,
  type Step,
} from "@demiflow/sys"
import { type IdentityFacts, isRoot } from "../identity.ts"
import { BEFORE_RUNTIME } from "./allowed-calls.ts"

/** Becomes the root of the data path's file system. It must exist, and its contents become inaccessible. */
const EMPTY_PLACE = "/proc"

const UID_MAP = "/proc/self/uid_map"

/** Creates a mount namespace of our own: mounts are visible nowhere else, and its root can be left. */
export const separateMounts: readonly Step[] = [
  { kind: "mount", source: "none", target: "/", type: "", flags: MountFlag.recursive | MountFlag.private },
  { kind: "coverInitramfs", path: EMPTY_PLACE },
]

/** How the file system is emptied. */
export const emptying: readonly Step[] = [
  {
    kind: "mount",
    source: "none",
    target: EMPTY_PLACE,
    type: "tmpfs",
    flags: MountFlag.readOnly | MountFlag.noSetUser | MountFlag.noDevices | MountFlag.noExecute,
  },
  { kind: "pivotRoot", path: EMPTY_PLACE },
]

/**
 * Capabilities with which root opens what the user requests; they are lost with the change of user. See
 * capabilities(7).
 */
export const CAPABILITIES_OF_ROOT = {
  chown: 0,
  overrideAccess: 1,
  readAndSearch: 2,
  ownFiles: 3,
  setGroup: 6,
  setUser: 7,
  bindPrivilegedPorts: 10,
} as const

/** The parameters of the wall. */
export interface WallPlan {
  readonly native: Native
  readonly facts: IdentityFacts
  /** True if the data path changes its user once everything is open. */
  readonly changesIdentity: boolean
  /** True if the steps of `ownUserNamespace` have been taken. */
  readonly isInOwnUserNamespace?: boolean
  /**
   * A folder from which a file is removed in the end; undefined: none. It becomes a mount of its own, so that its
   * descriptor leads to nothing above it once the root is empty.
   */
  readonly folder: string | undefined
  /** A byte read from here has the file system emptied. */
  readonly empty: number
  /** The number of the data path's pidfd of the helper that does so. */
  readonly helper: number
  /** Descriptors that the helper must close: other processes wait for the end of these connections. */
  readonly notForHelper: readonly number[]
}

/**
 * Gives up everything that can be given up before the runtime starts. A namespace that the system refuses is skipped.
 * In a user namespace of our own, a process has no privileges over what existed before: ports below 1024, other users.
 * So a process that has such privileges, and may need them, gets none.
 */
export function wallSteps(plan: WallPlan): Step[] {
  const { native, facts, changesIdentity, isInOwnUserNamespace, folder, empty, helper, notForHelper } = plan
  const isPrivileged = changesIdentity || isRoot(facts)
  const bindsPrivilegedPorts = facts.capabilities.includes(CAPABILITIES_OF_ROOT.bindPrivilegedPorts)
  const isMapped = !isInOwnUserNamespace && canHaveOwnUserNamespace(facts, changesIdentity)
  return [
    {
      kind: "try",
      steps: [
        // Without /proc, we would be nobody in the new user namespace. If there are no namespaces, this file stays
        // open.
        { kind: "open", path: UID_MAP, flags: OpenFlag.readOnly, number: helper },
        { kind: "unshare", flags: OTHER_NAMESPACES | (isMapped ? NamespaceFlag.user : 0) },
        ...(isMapped ? mapOurselves(facts) : []),
        { kind: "close", descriptor: helper },
        ...separateMounts,
        ...(folder === undefined ? [] : [mountOnItself(folder)]),
        { kind: "spawn", flags: 0, steps: helperSteps(empty, notForHelper) },
        { kind: "openChild", number: helper },
      ],
    },
    ...keepOnly(isPrivileged, bindsPrivilegedPorts),
    ...guardRuntime(native),
  ]
}

/** True for a process that has no privileges to lose in a user namespace of its own. */
export function canHaveOwnUserNamespace(facts: IdentityFacts, changesIdentity: boolean): boolean {
  const { bindPrivilegedPorts } = CAPABILITIES_OF_ROOT
  return !changesIdentity && !isRoot(facts) && !facts.capabilities.includes(bindPrivilegedPorts)
}

/** Creates a user namespace of our own alone, for a process that starts others below it before it takes `wallSteps`. */
export function ownUserNamespace(facts: IdentityFacts): Step[] {
  return [{ kind: "unshare", flags: NamespaceFlag.user }, ...mapOurselves(facts)]
}

function mountOnItself(folder: string): Step {
  return { kind: "mount", source: folder, target: folder, type: "", flags: MountFlag.bind }
}

export const OTHER_NAMESPACES: number = NamespaceFlag.mount | NamespaceFlag.ipc | NamespaceFlag.uts

/** Limits the capabilities to those that are needed until everything is open. */
export function keepOnly(isPrivileged: boolean, bindsPrivilegedPorts: boolean): Step[] {
  if (isPrivileged) return [{ kind: "limitCapabilities", kept: Object.values(CAPABILITIES_OF_ROOT), mayFail: true }]
  if (!bindsPrivilegedPorts) return [{ kind: "limitCapabilities", kept: [], mayFail: true }]
  return [
    { kind: "limitCapabilities", kept: [CAPABILITIES_OF_ROOT.bindPrivilegedPorts], mayFail: true },
    { kind: "keepCapabilities", mayFail: true },
  ]
}

/**
 * What a runtime that is executed next can never acquire, in whichever namespaces: applies to the process that executes
 * it.
 */
export function guardRuntime(native: Native): Step[] {
  const filter = encodeFilter(native, BEFORE_RUNTIME, { kind: "pass" })
  return [
    { kind: "control", option: ProcessControl.noNewPrivileges, value: 1 },
    { kind: "setLimit", resource: ResourceLimit.core, soft: 0, mayFail: true },
    ...(filter === undefined ? [] : [{ kind: "filterCalls", filter, flags: 0, mayFail: true } as const]),
  ]
}

/** Maps our own user and group in the new user namespace to themselves, and nobody else. */
function mapOurselves({ user, group }: IdentityFacts): Step[] {
  return [
    // Without privileges a group can be mapped only once supplementary groups can't be dropped any more.
    { kind: "writeFile", path: "/proc/self/setgroups", contents: "deny" },
    { kind: "writeFile", path: UID_MAP, contents: `${user} ${user} 1` },
    { kind: "writeFile", path: "/proc/self/gid_map", contents: `${group} ${group} 1` },
  ]
}

/**
 * The helper keeps the privileges needed to empty the file system, and waits. The kernel changes the root of all
 * processes in the mount namespace: pivot_root(2).
 */
function helperSteps(empty: number, notForHelper: readonly number[]): Step[] {
  return [
    ...notForHelper.map((descriptor): Step => ({ kind: "close", descriptor, mayFail: true })),
    { kind: "waitByte", descriptor: empty },
    ...emptying,
  ]
}
