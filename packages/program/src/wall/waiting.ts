/** What processes that only wait for others give up. */
import { readFileSync } from "node:fs"
import type { Arena } from "@demiflow/core"
import {
  type CallRule,
  encodeFilter,
  FilterFlag,
  type Native,
  ProcessControl,
  runStepsHere,
  type Step,
} from "@demiflow/sys"
import { changeIdentity } from "../identity.ts"
import { hasRing } from "../inherited-descriptors.ts"
import { INIT_CALLS, launcherCalls } from "./allowed-calls.ts"
import { restriction } from "./landlock.ts"

const EPERM = 1
/** Of capabilities(7). */
const SIGNAL_OTHERS = 5
/** The one descriptor that init has. */
const LIFE = 0

/**
 * Steps of a process that starts a command, and then waits for it as its init. The command keeps everything that this
 * process had; init keeps only what it needs to pass signals on.
 *
 * @param life the reading end of a pipe; init ends when the other end is closed
 * @param hasOtherUsers true if the command can become another user in its user namespace, whose processes only a
 * privilege may signal
 */
export function becomeInit(native: Native, command: readonly Step[], life: number, hasOtherUsers: boolean): Step[] {
  return [
    { kind: "spawn", flags: 0, steps: command },
    { kind: "duplicate", descriptor: life, number: LIFE },
    { kind: "endWithPipe", descriptor: LIFE, signal: 0 },
    // A pipe must not be held open by a process that doesn't use it.
    { kind: "closeFrom", first: LIFE + 1 },
    { kind: "wipeVariables" },
    { kind: "limitCapabilities", kept: hasOtherUsers ? [SIGNAL_OTHERS] : [], mayFail: true },
    ...guard(native, INIT_CALLS, []),
    { kind: "init" },
  ]
}

/**
 * Has a launcher give up what it doesn't need to wait. To be called once everything is open, and the last reports are
 * awaited. Throws a `SystemError`, or a `Quit`, if a step fails that never should.
 *
 * @param signalled id of the process to which it passes signals: a launcher that changes its user becomes that
 * process's user
 */
export function guardLauncher(native: Native, arena: Arena, signalled: number, changesIdentity: boolean): void {
  const calls = launcherCalls(process.pid, signalled, hasRing())
  if (changesIdentity) becomeUserOf(signalled)
  const lock = restriction(native.landlockVersion(), undefined)
  runStepsHere(native, arena, [
    // Affects this thread: the other threads lose their capabilities with the change of user. The filter applies to all
    // threads.
    { kind: "limitCapabilities", kept: [], mayFail: true },
    ...guard(native, calls, lock === undefined ? [] : [{ ...lock, mayFail: true }]),
  ])
}

/** Without privileges, only a process of the same user may signal it. A process that has ended gets no signals. */
function becomeUserOf(number: number): void {
  const [user, group] = ["Uid", "Gid"].map((name) => effectiveOf(number, name))
  if (user !== undefined && group !== undefined) changeIdentity({ user, group })
}

/** See proc_pid_status(5). */
function effectiveOf(number: number, name: string): number | undefined {
  try {
    const status = readFileSync(`/proc/${number}/status`, "latin1")
    return Number(new RegExp(`^${name}:\\s+\\d+\\s+(\\d+)`, "m").exec(status)?.[1])
  } catch {
    return undefined
  }
}

/** @param between steps that a filter would refuse */
function guard(native: Native, calls: readonly CallRule[], between: readonly Step[]): Step[] {
  const filter = encodeFilter(native, calls, { kind: "error", errno: EPERM })
  return [
    { kind: "control", option: ProcessControl.noNewPrivileges, value: 1 },
    { kind: "control", option: ProcessControl.setDumpable, value: 0 },
    ...between,
    ...(filter === undefined
      ? []
      : [{ kind: "filterCalls", filter, flags: FilterFlag.allThreads, mayFail: true } as const]),
  ]
}
