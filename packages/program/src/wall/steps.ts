/** The wall's first half: what a data path gives up before a runtime exists in it, as steps. */
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
import { BEFORE_RUNTIME } from "./calls.ts"

/** Becomes the root of the data path's file system: it has to exist, and what is in it can't be reached any more. */
const EMPTY_PLACE = "/proc"

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

/** Those with which root opens what the user asks for; they go with the change of user. See capabilities(7). */
export const CAPABILITIES_OF_ROOT = {
  chown: 0,
  overrideAccess: 1,
  readAndSearch: 2,
  ownFiles: 3,
  setGroup: 6,
  setUser: 7,
  bindPrivilegedPorts: 10,
} as const

/** What the wall is built from. */
export interface WallPlan {
  readonly native: Native
  readonly facts: IdentityFacts
  /** True if the data path is to become somebody else once everything is open. */
  readonly changesIdentity: boolean
  /** True if the steps of `ownUserNamespace` have been taken. */
  readonly isInOwnUserNamespace?: boolean
  /**
   * A folder in which a file is removed in the end; undefined: none. It becomes a mount of its own, so that its descriptor leads to
   * nothing above it once the root is empty.
   */
  readonly folder: string | undefined
  /** To read a byte from: have the file system emptied. */
  readonly empty: number
  /** The number that the data path finds the helper at which does so, a pidfd. */
  readonly helper: number
  /** Descriptors that the helper has to close: the end of what goes through them, or of what comes back, is awaited. */
  readonly notForHelper: readonly number[]
}

/**
 * Everything that can be given up before the runtime starts. A namespace that the system refuses is done without. In a user
 * namespace of our own, nobody has privileges over what was there before: ports below 1024, other users. So there is none for who has,
 * and may need, such privileges.
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
        // Without /proc, we would be nobody in the new user namespace.
        { kind: "open", path: "/proc/self/uid_map", flags: OpenFlag.readOnly, number: helper },
        { kind: "close", descriptor: helper },
        { kind: "unshare", flags: OTHER_NAMESPACES | (isMapped ? NamespaceFlag.user : 0) },
        ...(isMapped ? mapOurselves(facts) : []),
        { kind: "mount", source: "none", target: "/", type: "", flags: MountFlag.recursive | MountFlag.private },
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

/** A user namespace of our own alone, for a process that starts others below it before it takes `wallSteps`. */
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

/** What a runtime that is executed next can't get any more, in whatever namespaces it is: of the process that executes it. */
export function guardRuntime(native: Native): Step[] {
  const filter = encodeFilter(native, BEFORE_RUNTIME, { kind: "pass" })
  return [
    { kind: "control", option: ProcessControl.noNewPrivileges, value: 1 },
    { kind: "setLimit", resource: ResourceLimit.core, soft: 0, mayFail: true },
    ...(filter === undefined ? [] : [{ kind: "filterCalls", filter, flags: 0, mayFail: true } as const]),
  ]
}

/** In the new user namespace, we are who we were, and there is nobody else. */
function mapOurselves({ user, group }: IdentityFacts): Step[] {
  return [
    // Without privileges a group can be mapped only if supplementary groups can't be dropped any more.
    { kind: "writeFile", path: "/proc/self/setgroups", contents: "deny" },
    { kind: "writeFile", path: "/proc/self/uid_map", contents: `${user} ${user} 1` },
    { kind: "writeFile", path: "/proc/self/gid_map", contents: `${group} ${group} 1` },
  ]
}

/**
 * The helper keeps the privileges that it takes to empty the file system, and waits. The kernel gives the new root to all processes of
 * the mount namespace: pivot_root(2).
 */
function helperSteps(empty: number, notForHelper: readonly number[]): Step[] {
  return [
    ...notForHelper.map((descriptor): Step => ({ kind: "close", descriptor, mayFail: true })),
    { kind: "waitByte", descriptor: empty },
    ...emptying,
  ]
}
