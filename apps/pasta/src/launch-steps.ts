/**
 * How the processes come into being, as lists of steps.
 *
 *     launcher ── what the user started: it waits, passes signals on, and ends with the command's status
 *       └─ data path ── moves the packets; a session of its own, so that the terminal's signals don't reach it
 *            └─ init ── first process of the new namespaces
 *                 └─ command
 *
 * The data path's process starts init, gives the new user namespace its one user, and executes the runtime. An ordinary
 * user's data path joins the user namespace, where it has the privileges over the network namespace that it needs. Root
 * has them anyway, and stays outside until everything is open: node and our own files may be where only root can read.
 * Either way the command's user 0 is the user who called, or nobody for root.
 *
 * Whoever dies takes those below along: each has asked the kernel to be killed with its parent, and everything in a PID
 * namespace ends with its init.
 */

import type { DataPathPipes, Identity, Pipe, RuntimeCommand } from "@demiflow/program/launch"
import { MountFlag, NamespaceFlag, OpenFlag, ProcessControl, ResourceLimit, type Step } from "@demiflow/sys"
import type { Command } from "./command.ts"

/** Numbers of the descriptors that the data path is started with. */
export const DataPathDescriptor = {
  /** To read `DataPathSettings` from, to its end. */
  settings: 3,
  /** To write `DataPathReport` lines to. */
  report: 4,
  /** The network namespace. */
  network: 5,
  /** A pidfd of init. */
  init: 6,
} as const

/** First number that is free. */
const FIRST_FREE = 7
const SIGKILL = 9

/** What to start. */
export interface LaunchPlan {
  readonly command: Command
  /** Who is user 0 in the namespace. */
  readonly mapped: Identity
  /** True if that is somebody else than who we are, which takes privileges. */
  readonly changesIdentity: boolean
  /** Soft limit of open files that the command gets; undefined: leave it. */
  readonly openFiles: number | undefined
  /** The runtime and its arguments. */
  readonly dataPath: RuntimeCommand
  readonly pipes: DataPathPipes & {
    /** A byte: the user namespace is ready. */
    readonly mapped: Pipe
    /** A byte from the launcher: run the command. */
    readonly go: Pipe
  }
}

const PROC_FLAGS = MountFlag.noSetUser | MountFlag.noDevices | MountFlag.noExecute

/** All namespaces that the command gets. The network's own processes stay in the caller's control group. */
const NAMESPACES =
  NamespaceFlag.user |
  NamespaceFlag.pid |
  NamespaceFlag.mount |
  NamespaceFlag.network |
  NamespaceFlag.uts |
  NamespaceFlag.ipc

/** The steps of the data path's process, up to the execution of the runtime. */
export function launchSteps(plan: LaunchPlan): Step[] {
  const { pipes, mapped, changesIdentity, dataPath } = plan
  return [
    // A runtime with file capabilities isn't dumpable, and files below /proc are then root's.
    { kind: "control", option: ProcessControl.setDumpable, value: 1 },
    ...(changesIdentity ? [{ kind: "clearGroups", mayFail: true } as const] : []),
    { kind: "spawn", flags: NAMESPACES, steps: initSteps(plan) },
    // Without privileges a group can be mapped only if supplementary groups can't be dropped any more.
    { kind: "writeChildFile", file: "setgroups", contents: "deny" },
    { kind: "writeChildFile", file: "uid_map", contents: `0 ${mapped.user} 1` },
    { kind: "writeChildFile", file: "gid_map", contents: `0 ${mapped.group} 1` },
    { kind: "putByte", descriptor: pipes.mapped.writeEnd },
    ...(changesIdentity ? [] : joinUserNamespace),
    { kind: "duplicate", descriptor: pipes.settings.readEnd, number: DataPathDescriptor.settings },
    { kind: "duplicate", descriptor: pipes.report.writeEnd, number: DataPathDescriptor.report },
    { kind: "openChildFile", file: "ns/net", flags: OpenFlag.readOnly, number: DataPathDescriptor.network },
    { kind: "openChild", number: DataPathDescriptor.init },
    { kind: "open", path: "/dev/null", flags: OpenFlag.readWrite, number: 0 },
    // Standard output is the command's alone.
    { kind: "duplicate", descriptor: 2, number: 1, mayFail: true },
    keepOpen(2),
    { kind: "closeOnExecFrom", first: FIRST_FREE },
    { kind: "newSession" },
    { kind: "dieWithParent", signal: SIGKILL },
    { kind: "execute", paths: [dataPath.path], arguments: dataPath.arguments, variables: dataPath.variables },
  ]
}

const joinUserNamespace: readonly Step[] = [
  { kind: "openChildFile", file: "ns/user", flags: OpenFlag.readOnly, number: FIRST_FREE },
  { kind: "enterNamespace", descriptor: FIRST_FREE, type: NamespaceFlag.user },
]

function initSteps({ pipes, command, openFiles }: LaunchPlan): Step[] {
  return [
    { kind: "close", descriptor: pipes.mapped.writeEnd },
    { kind: "close", descriptor: pipes.go.writeEnd },
    { kind: "close", descriptor: pipes.settings.writeEnd },
    { kind: "waitByte", descriptor: pipes.mapped.readEnd },
    { kind: "setGroup", group: 0 },
    { kind: "setUser", user: 0 },
    // Not earlier: changing the user undoes it.
    { kind: "dieWithParent", signal: SIGKILL },
    { kind: "mount", source: "proc", target: "/proc", type: "proc", flags: PROC_FLAGS, mayFail: true },
    { kind: "writeFile", path: "/proc/sys/net/ipv4/ping_group_range", contents: "0 0", mayFail: true },
    { kind: "waitByte", descriptor: pipes.go.readEnd },
    ...(openFiles === undefined
      ? []
      : [{ kind: "setLimit", resource: ResourceLimit.openFiles, soft: openFiles, mayFail: true } as const]),
    // Open or not, as the caller had them: the runtime has marked them to be closed on exec.
    ...[0, 1, 2].map(keepOpen),
    { kind: "init", steps: [{ kind: "execute", paths: command.paths, arguments: command.arguments }] },
  ]
}

function keepOpen(descriptor: number): Step {
  return { kind: "duplicate", descriptor, number: descriptor, mayFail: true }
}
