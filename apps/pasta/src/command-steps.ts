/**
 * The processes that a command in a new namespace needs, and how they start, as lists of steps.
 *
 *     launcher ── what the user started: it waits, passes signals on, and ends with the command's status
 *       └─ data path ── moves the packets; a session of its own, so that the terminal's signals don't reach it
 *            ├─ init ── first process of the new namespaces
 *            │    └─ command
 *            └─ helper ── acts in the network namespace for the data path
 *
 * The data path's process starts init and the helper, maps the one user of a new user namespace, and executes the
 * runtime. It stays where the command has no privileges: an ordinary user's data path in a user namespace of its own,
 * the parent of the command's; root's outside of both. Either way the command's user 0 is the calling user, or nobody
 * for root.
 *
 * An existing user namespace is joined by a process that starts init there and ends. Init is nevertheless a child of
 * the data path's process. Root becomes user 0 of that namespace, which is another user: inside an ordinary user's
 * namespace no user is root of the machine.
 *
 * A process that dies takes those below it along. Each has asked the kernel to be killed when its parent ends or, where
 * the parent may be another user by then, when the parent's end of a pipe is closed. All processes in a PID namespace
 * end with its init. Without a PID namespace there is no init: the command itself is in its place, and the processes
 * that it leaves behind keep running.
 */

import {
  becomeInit,
  canHaveOwnUserNamespace,
  dieWithParent,
  executeRuntime,
  type HandOver,
  type Identity,
  keepOpen,
  keepStandardError,
  ownUserNamespace,
  type Pipe,
  type RuntimeCommand,
} from "@demiflow/program/launch"
import { MountFlag, NamespaceFlag, OpenFlag, ResourceLimit, SpawnFlag, type Step } from "@demiflow/sys"
import type { Command } from "./command.ts"
import {
  closeInherited,
  connectPipes,
  endsExcept,
  joinUserNamespace,
  mayEnterFromAbove,
  ownFilesBelowProc,
  type PastaPipes,
  type PastaWall,
  raiseWallAround,
  startHelper,
} from "./common-steps.ts"
import { DataPathDescriptor } from "./descriptors.ts"
import { PING_GROUPS } from "./failures.ts"

/** The user namespace that owns the command's other namespaces. */
export type CommandUserNamespace =
  /** A new one, which maps its user 0 to a user outside. */
  | { readonly kind: "new"; readonly mapped: Identity }
  /** An existing one, joined by its descriptor; as its user 0 if root joins it. */
  | { readonly kind: "joined"; readonly descriptor: number; readonly becomesUser0: boolean }
  /** The one that this process is in. `becomes` is the user that the command runs as; undefined: ours. */
  | { readonly kind: "current"; readonly group: number; readonly becomes: Identity | undefined }

/** What to start. */
export interface CommandPlan extends PastaWall {
  readonly command: Command
  readonly userNamespace: CommandUserNamespace
  /** True if the command gets a PID namespace, with a `/proc` that shows it. */
  readonly hasPidNamespace: boolean
  /** Soft limit of open files for the command; undefined: unchanged. */
  readonly openFiles: number | undefined
  /** The runtime and its arguments. */
  readonly dataPath: RuntimeCommand
  /** Descriptors that the user's options name, for the data path. */
  readonly handOver: Pick<HandOver, "takeAway" | "keep">
  readonly pipes: PastaPipes & {
    /** Carries one byte: the user namespace is ready. Init ends when the writing end is closed. */
    readonly mapped: Pipe
    /** Carries one byte from the launcher: run the command. */
    readonly go: Pipe
  }
}

const PROC_FLAGS = MountFlag.noSetUser | MountFlag.noDevices | MountFlag.noExecute
const FIRST_UNSTANDARD = 3

/** The steps of the data path's process, up to the execution of the runtime. */
export function commandSteps(plan: CommandPlan): Step[] {
  const { pipes, userNamespace, facts, changesIdentity, dataPath, handOver } = plan
  const hasOwn = userNamespace.kind === "new" && canHaveOwnUserNamespace(facts, changesIdentity)
  return [
    ...handOver.takeAway,
    closeInherited,
    ownFilesBelowProc,
    ...(hasOwn ? ownUserNamespace(facts) : []),
    ...startInit(plan),
    // Before another child is started.
    ...helperJoins(userNamespace, hasOwn || mayEnterFromAbove(facts)),
    ...mapUser(userNamespace),
    { kind: "putByte", descriptor: pipes.mapped.writeEnd },
    { kind: "duplicate", descriptor: pipes.mapped.writeEnd, number: DataPathDescriptor.initLife },
    { kind: "close", descriptor: pipes.mapped.writeEnd },
    ...startHelper(plan),
    ...connectPipes(pipes),
    ...keepStandardError,
    ...handOver.keep,
    ...raiseWallAround(plan, hasOwn),
    { kind: "newSession" },
    dieWithParent,
    executeRuntime(dataPath),
  ]
}

/** Starts init, and opens its pidfd and its network namespace. */
function startInit(plan: CommandPlan): Step[] {
  const { userNamespace } = plan
  const open: Step[] = [
    { kind: "openChildFile", file: "ns/net", flags: OpenFlag.readOnly, number: DataPathDescriptor.network },
    { kind: "openChild", number: DataPathDescriptor.process },
  ]
  const spawn = (flags: number): Step => ({
    kind: "spawn",
    flags: namespaceFlags(plan) | flags,
    steps: initSteps(plan),
  })
  switch (userNamespace.kind) {
    case "new":
      return [...(plan.changesIdentity ? [clearGroups] : []), spawn(0), ...open]
    case "current":
      return [spawn(0), ...open]
    case "joined":
      return [
        {
          kind: "spawn",
          flags: SpawnFlag.sharedDescriptors,
          steps: [
            ...(userNamespace.becomesUser0 ? [clearGroups] : []),
            joinUserNamespace(userNamespace.descriptor),
            ...(userNamespace.becomesUser0 ? become({ user: 0, group: 0 }) : []),
            ownFilesBelowProc,
            spawn(SpawnFlag.sibling),
            ...open,
          ],
        },
        { kind: "awaitChild" },
      ]
  }
}

/** Opens the user namespace that the helper has to join before it can enter the network namespace. */
function helperJoins(userNamespace: CommandUserNamespace, entersFromAbove: boolean): Step[] {
  const number = DataPathDescriptor.userNamespace
  if (entersFromAbove) return []
  switch (userNamespace.kind) {
    case "new":
      return [{ kind: "openChildFile", file: "ns/user", flags: OpenFlag.readOnly, number }]
    case "joined":
      return [{ kind: "duplicate", descriptor: userNamespace.descriptor, number }]
    case "current":
      return []
  }
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

function mapUser(userNamespace: CommandUserNamespace): Step[] {
  if (userNamespace.kind !== "new") return []
  const { user, group } = userNamespace.mapped
  return [
    // Without privileges a group can be mapped only once supplementary groups can't be dropped any more.
    { kind: "writeChildFile", file: "setgroups", contents: "deny" },
    { kind: "writeChildFile", file: "uid_map", contents: `0 ${user} 1` },
    { kind: "writeChildFile", file: "gid_map", contents: `0 ${group} 1` },
  ]
}

function initSteps({ native, pipes, userNamespace, hasPidNamespace, command, openFiles }: CommandPlan): Step[] {
  const execute: Step = { kind: "execute", paths: command.paths, arguments: command.arguments }
  const needed = [pipes.mapped.readEnd, pipes.go.readEnd, pipes.report.writeEnd]
  return [
    // Other processes wait until nobody has these open.
    ...endsExcept(pipes, needed).map((descriptor): Step => ({ kind: "close", descriptor, mayFail: true })),
    { kind: "waitByte", descriptor: pipes.mapped.readEnd },
    // In a new user namespace the kernel does so by itself: mounts made here aren't visible outside.
    ...(userNamespace.kind === "new" ? [] : [keepMountsPrivate]),
    ...(hasPidNamespace ? [mountProc] : []),
    ...allowPing(userNamespace),
    ...becomeUser(userNamespace),
    // Not earlier: changing the user undoes it.
    dieWithParent,
    // In a PID namespace, a parent that ended before goes unnoticed. The end of its pipe doesn't.
    { kind: "waitByte", descriptor: pipes.go.readEnd, life: pipes.mapped.readEnd },
    ...(openFiles === undefined
      ? []
      : [{ kind: "setLimit", resource: ResourceLimit.openFiles, soft: openFiles, mayFail: true } as const]),
    ...[0, 1, 2].map(keepOpen),
    { kind: "closeOnExecFrom", first: FIRST_UNSTANDARD },
    ...(hasPidNamespace
      ? becomeInit(native, [execute], pipes.mapped.readEnd, userNamespace.kind !== "new")
      : [execute]),
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

/**
 * Allows the command's group to ping, by its number in the command's user namespace. In one that is joined, the number
 * is unknown here.
 */
function allowPing(userNamespace: CommandUserNamespace): Step[] {
  if (userNamespace.kind === "joined") return []
  const group = userNamespace.kind === "new" ? 0 : userNamespace.group
  return [{ kind: "writeFile", path: PING_GROUPS, contents: `${group} ${group}`, mayFail: true }]
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
