/** The wall's second half: what a data path gives up once everything is open. Nothing can be opened by its name afterwards. */
import type { Log } from "@demiflow/core"
import {
  type CallRule,
  encodeFilter,
  FilterFlag,
  ProcessControl,
  parseWaitStatus,
  runStepsHere,
  SystemError,
} from "@demiflow/sys"
import type { Machinery } from "../machinery.ts"
import { processBehind } from "../pidfd.ts"
import { WallHelper } from "./helper.ts"
import { restriction } from "./landlock.ts"
import { reportRefusals } from "./refusals.ts"

/** What of the wall stands. */
export interface Wall {
  /** Landlock, where the kernel has it. */
  readonly isRestricted: boolean
  /** Nothing of the host's files can be reached. */
  readonly hasEmptyRoot: boolean
  /** Only system calls that are listed pass. */
  readonly hasFilter: boolean
}

/** Descriptors that `wallSteps` has left for the second half. */
export interface WallDescriptors {
  /** To write a byte to: have the file system emptied. */
  readonly empty: number
  /** A pidfd of the helper that does so; not open if it isn't possible. */
  readonly helper: number
}

/**
 * Raises the wall, as high as the system lets us. Throws a `SystemError` if there is no memory.
 *
 * @param helper undefined: its first half wasn't built, and files stay in reach of who can open them
 * @param calls that the data path may make from now on
 * @param log gets a line for each system call that is refused, once
 * @param folders descriptors of the folders in which it removes a file in the end: none or one
 */
export function raiseWall(
  machinery: Machinery,
  helper: WallHelper | WallDescriptors | undefined,
  calls: readonly CallRule[],
  log: Log,
  folders: readonly number[],
): Wall {
  // The local time zone is read from a file, at the first use.
  new Date().getTimezoneOffset()
  const hasEmptyRoot = helper !== undefined && emptyRoot(machinery, helper)
  runStepsHere(machinery.native, machinery.arena, [
    // Where the first half did so, nothing changes. The filter passes it on to the other threads.
    { kind: "control", option: ProcessControl.noNewPrivileges, value: 1 },
    { kind: "control", option: ProcessControl.setDumpable, value: 0 },
  ])
  const isRestricted = restrict(machinery, folders)
  const wall = { hasEmptyRoot, isRestricted, hasFilter: filterCalls(machinery, calls, log) }
  if (hasEmptyRoot || isRestricted || wall.hasFilter) log.debug(describeWall(wall))
  else log.warning(describeWall(wall))
  return wall
}

/** False where there is no Landlock: in kernels without it, or where a filter refuses it. */
function restrict({ native, arena }: Machinery, folders: readonly number[]): boolean {
  const step = restriction(native.landlockVersion(), folders[0])
  return step !== undefined && isDone(() => runStepsHere(native, arena, [step]))
}

/** False where there are no filters: on other architectures, in kernels without them, or where a filter refuses another one. */
function filterCalls(machinery: Machinery, calls: readonly CallRule[], log: Log): boolean {
  const { native, arena } = machinery
  const filter = encodeFilter(native, calls, { kind: "signal" })
  if (filter === undefined) return false
  reportRefusals(machinery, log)
  return isDone(() => runStepsHere(native, arena, [{ kind: "filterCalls", filter, flags: FilterFlag.allThreads }]))
}

function isDone(step: () => void): boolean {
  try {
    step()
    return true
  } catch (error) {
    if (error instanceof SystemError) return false
    throw error
  }
}

/** One line that says what holds, and what doesn't. */
export function describeWall({ hasEmptyRoot, isRestricted, hasFilter }: Wall): string {
  const steps: [string, boolean][] = [
    ["no new privileges", true],
    ["not dumpable", true],
    ["an empty root", hasEmptyRoot],
    ["filtered system calls", hasFilter],
    ["Landlock", isRestricted],
  ]
  const named = (isThere: boolean): string =>
    steps.flatMap(([name, holds]) => (holds === isThere ? [name] : [])).join(", ")
  const missing = named(false)
  return `Sandbox: ${named(true)}${missing === "" ? "" : `; without ${missing}`}`
}

/** Has the helper empty the file system. The folder that this process is in would stay in reach. */
function emptyRoot({ native, arena }: Machinery, helper: WallHelper | WallDescriptors): boolean {
  process.chdir("/")
  if (helper instanceof WallHelper) return helper.emptyRoot(native, arena)
  const scratch = arena.reserve(4, 4)
  const number = processBehind(helper.helper)
  native.write(helper.empty, scratch, 1)
  native.close(helper.empty)
  if (number === undefined || native.waitPid(number, 0, scratch) < 0) return false
  native.close(helper.helper)
  const end = parseWaitStatus(arena.words[scratch >> 2])
  return "status" in end && end.status === 0
}
