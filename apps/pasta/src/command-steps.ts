/**
 * How the processes come into being that a command in a new namespace takes, as lists of steps.
 *
 *     launcher ── what the user started: it waits, passes signals on, and ends with the command's status
 *       └─ data path ── moves the packets; a session of its own, so that the terminal's signals don't reach it
 *            └─ init ── first process of the new namespaces
 *                 └─ command
 *
 * The data path's process starts init, gives a new user namespace its one user, and executes the runtime. An ordinary
 * user's data path joins the user namespace, where it has the privileges over the network namespace that it needs. Root
 * has them anyway, and stays outside until everything is open: node and our own files may be where only root can read.
 * Either way the command's user 0 is the user who called, or nobody for root.
 *
 * A user namespace that exists is joined by the data path, before it starts init; then all other namespaces belong to it.
 * Root becomes user 0 of it there, which is somebody else: in somebody's user namespace nobody is root.
 *
 * A process that dies takes those below along: each has asked the kernel to be killed with its parent, and everything in a PID
 * namespace ends with its init. Without a PID namespace there is no init: the command itself is in its place, and what it
 * leaves running stays.
 */

import {
  type DataPathPipes,
  dieWithParent,
  executeRuntime,
  type HandOver,
  type Identity,
  keepOpen,
  keepStandardError,
  type Pipe,
  type RuntimeCommand,
} from "@demiflow/program/launch"
import { MountFlag, NamespaceFlag, OpenFlag, ResourceLimit, type Step } from "@demiflow/sys"
import type { Command } from "./command.ts"
import { connectPipes, joinUserNamespace, keepPrivileges, ownFilesBelowProc } from "./common-steps.ts"
import { DataPathDescriptor, FIRST_FREE } from "./descriptors.ts"

/** The user namespace that the command's other namespaces belong to. */
export type CommandUserNamespace =
  /** A new one, whose user 0 is somebody outside. If that is somebody else than who we are, it takes privileges. */
  | { readonly kind: "new"; readonly mapped: Identity; readonly changesIdentity: boolean }
  /** One that is joined, by its descriptor, as user 0 of it if it is root who does. */
  | { readonly kind: "joined"; readonly descriptor: number; readonly becomesUser0: boolean }
  /** The one that we are in. The user that the command runs as, with that group; undefined: ours. */
  | { readonly kind: "current"; readonly group: number; readonly becomes: Identity | undefined }

/** What to start. */
export interface CommandPlan {
  readonly command: Command
  readonly userNamespace: CommandUserNamespace
  /** True if the command gets a PID namespace, with a `/proc` that shows it. */
  readonly hasPidNamespace: boolean
  /** Soft limit of open files that the command gets; undefined: leave it. */
  readonly openFiles: number | undefined
  /** The runtime and its arguments. */
  readonly dataPath: RuntimeCommand
  /** What the data path gives up before its runtime: `guardRuntime`. */
  readonly guard: readonly Step[]
  /** Descriptors that the user names, for the data path. */
  readonly handOver: Pick<HandOver, "takeAway" | "keep">
  readonly pipes: DataPathPipes & {
    /** A byte: the user namespace is ready. */
    readonly mapped: Pipe
    /** A byte from the launcher: run the command. */
    readonly go: Pipe
  }
}

const PROC_FLAGS = MountFlag.noSetUser | MountFlag.noDevices | MountFlag.noExecute
const FIRST_UNSTANDARD = 3

/** The steps of the data path's process, up to the execution of the runtime. */
export function commandSteps(plan: CommandPlan): Step[] {
  const { pipes, userNamespace, dataPath, handOver, guard } = plan
  return [
    ...handOver.takeAway,
    ...beforeSpawn(userNamespace),
    // Behind them: a process that changes its user loses those files.
    ownFilesBelowProc,
    { kind: "spawn", flags: namespaceFlags(plan), steps: initSteps(plan) },
    ...mapUser(userNamespace),
    { kind: "putByte", descriptor: pipes.mapped.writeEnd },
    ...privilegesOf(userNamespace),
    ...connectPipes(pipes),
    { kind: "openChildFile", file: "ns/net", flags: OpenFlag.readOnly, number: DataPathDescriptor.network },
    { kind: "openChild", number: DataPathDescriptor.process },
    ...keepStandardError,
    { kind: "closeOnExecFrom", first: FIRST_FREE },
    ...handOver.keep,
    { kind: "newSession" },
    dieWithParent,
    ...guard,
    executeRuntime(dataPath),
  ]
}

/** All namespaces that the command gets. Its processes stay in the caller's control group. */
function namespaceFlags({ userNamespace, hasPidNamespace }: CommandPlan): number {
  return (
    NamespaceFlag.mount |
    NamespaceFlag.network |
    NamespaceFlag.uts |
    NamespaceFlag.ipc |
    (userNamespace.kind === "new" ? NamespaceFlag.user : 0) |
    (hasPidNamespace ? NamespaceFlag.pid : 0)
  )
}

function beforeSpawn(userNamespace: CommandUserNamespace): Step[] {
  switch (userNamespace.kind) {
    case "new":
      return userNamespace.changesIdentity ? [clearGroups] : []
    case "joined":
      return [
        ...(userNamespace.becomesUser0 ? [clearGroups] : []),
        joinUserNamespace(userNamespace.descriptor),
        ...(userNamespace.becomesUser0 ? become({ user: 0, group: 0 }) : []),
      ]
    case "current":
      return []
  }
}

function mapUser(userNamespace: CommandUserNamespace): Step[] {
  if (userNamespace.kind !== "new") return []
  const { user, group } = userNamespace.mapped
  return [
    // Without privileges a group can be mapped only if supplementary groups can't be dropped any more.
    { kind: "writeChildFile", file: "setgroups", contents: "deny" },
    { kind: "writeChildFile", file: "uid_map", contents: `0 ${user} 1` },
    { kind: "writeChildFile", file: "gid_map", contents: `0 ${group} 1` },
  ]
}

/** What the data path does for its own part: behind the spawn of those who are to have no more than they would have. */
function privilegesOf(userNamespace: CommandUserNamespace): Step[] {
  switch (userNamespace.kind) {
    case "new":
      if (userNamespace.changesIdentity) return []
      return [
        { kind: "openChildFile", file: "ns/user", flags: OpenFlag.readOnly, number: FIRST_FREE },
        joinUserNamespace(FIRST_FREE),
      ]
    case "joined":
      return [keepPrivileges]
    case "current":
      return []
  }
}

function initSteps({ pipes, userNamespace, hasPidNamespace, command, openFiles }: CommandPlan): Step[] {
  const execute: Step = { kind: "execute", paths: command.paths, arguments: command.arguments }
  return [
    { kind: "close", descriptor: pipes.mapped.writeEnd },
    { kind: "close", descriptor: pipes.go.writeEnd },
    { kind: "close", descriptor: pipes.settings.writeEnd },
    { kind: "waitByte", descriptor: pipes.mapped.readEnd },
    // In a new user namespace the kernel sees to it: what is mounted in here isn't seen outside.
    ...(userNamespace.kind === "new" ? [] : [keepMountsPrivate]),
    ...(hasPidNamespace ? [mountProc] : []),
    ...allowPing(userNamespace),
    ...becomeUser(userNamespace),
    // Not earlier: changing the user undoes it.
    dieWithParent,
    { kind: "waitByte", descriptor: pipes.go.readEnd },
    ...(openFiles === undefined
      ? []
      : [{ kind: "setLimit", resource: ResourceLimit.openFiles, soft: openFiles, mayFail: true } as const]),
    ...[0, 1, 2].map(keepOpen),
    { kind: "closeOnExecFrom", first: FIRST_UNSTANDARD },
    hasPidNamespace ? { kind: "init", steps: [execute] } : execute,
  ]
}

const keepMountsPrivate: Step = {
  kind: "mount",
  source: "none",
  target: "/",
  type: "",
  flags: MountFlag.recursive | MountFlag.private,
}

const mountProc: Step = {
  kind: "mount",
  source: "proc",
  target: "/proc",
  type: "proc",
  flags: PROC_FLAGS,
  mayFail: true,
}

const clearGroups: Step = { kind: "clearGroups" }

/** For the group that the command has, as its user namespace numbers it: of one that is joined, nobody here knows. */
function allowPing(userNamespace: CommandUserNamespace): Step[] {
  if (userNamespace.kind === "joined") return []
  const group = userNamespace.kind === "new" ? 0 : userNamespace.group
  return [
    { kind: "writeFile", path: "/proc/sys/net/ipv4/ping_group_range", contents: `${group} ${group}`, mayFail: true },
  ]
}

function becomeUser(userNamespace: CommandUserNamespace): Step[] {
  if (userNamespace.kind === "new") return become({ user: 0, group: 0 })
  if (userNamespace.kind === "joined" || userNamespace.becomes === undefined) return []
  return [clearGroups, ...become(userNamespace.becomes)]
}

function become({ user, group }: Identity): Step[] {
  return [
    { kind: "setGroup", group },
    { kind: "setUser", user },
  ]
}
