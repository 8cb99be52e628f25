/**
 * The wall's second half: what a data path gives up once everything is open. Afterwards nothing can be opened by name.
 */
import { readlinkSync } from "node:fs"
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
import { effectiveCapabilities } from "../identity.ts"
import type { Machinery } from "../machinery.ts"
import { processBehind } from "../pidfd.ts"
import { WallHelper } from "./helper.ts"
import { restriction } from "./landlock.ts"
import { describeWall, type Wall } from "./parts.ts"
import { reportRefusals } from "./refusals.ts"

/** The first half, of a process that was started behind it. */
export interface BornWall {
  /** Empties the file system; undefined: files stay accessible to code that can open them. */
  readonly helper: WallHelper | undefined
  readonly hasNamespaces: boolean
}

/** Descriptors that `wallSteps` leaves for the second half. */
export interface WallDescriptors {
  /** A byte written here has the file system emptied. */
  readonly empty: number
  /**
   * A pidfd of the helper that does so. Not open if that isn't possible; a file of /proc if there aren't even
   * namespaces.
   */
  readonly helper: number
}

/**
 * Raises the wall, to the extent that the system allows. Throws a `SystemError` if there is no memory.
 *
 * @param calls that the data path may make from now on
 * @param log gets a line for each refused system call, once
 * @param folders descriptors of the folders from which a file is removed in the end: none or one
 */
export function raiseWall(
  machinery: Machinery,
  half: BornWall | WallDescriptors,
  calls: readonly CallRule[],
  log: Log,
  folders: readonly number[],
): void {
  // Loads the local time zone, which is read from a file at the first use.
  new Date().getTimezoneOffset()
  // Files of /proc are still accessible.
  const hasCapabilities = effectiveCapabilities().length > 0
  const hasNamespaces = "hasNamespaces" in half ? half.hasNamespaces : madeNamespaces(half)
  const helper = "hasNamespaces" in half ? half.helper : half
  const hasEmptyRoot = helper !== undefined && emptyRoot(machinery, helper)
  runStepsHere(machinery.native, machinery.arena, [
    // Where the first half did so, nothing changes. The filter applies it to the other threads.
    { kind: "control", option: ProcessControl.noNewPrivileges, value: 1 },
    { kind: "control", option: ProcessControl.setDumpable, value: 0 },
  ])
  const isRestricted = restrict(machinery, folders)
  const hasFilter = filterCalls(machinery, calls, log)
  const wall: Wall = {
    namespaces: hasNamespaces,
    emptyRoot: hasEmptyRoot,
    noCapabilities: !hasCapabilities,
    noNewPrivileges: true,
    notDumpable: true,
    // Where filters are possible, one was installed before the runtime.
    noRings: hasFilter,
    filter: hasFilter,
    landlock: isRestricted,
  }
  if (hasEmptyRoot || isRestricted || hasFilter) log.debug(describeWall(wall))
  else log.warning(describeWall(wall))
}

/** Returns false if there is no Landlock: the kernel lacks it, or a filter refuses it. */
function restrict({ native, arena }: Machinery, folders: readonly number[]): boolean {
  const step = restriction(native.landlockVersion(), folders[0])
  return step !== undefined && isDone(() => runStepsHere(native, arena, [step]))
}

/**
 * Returns false if there are no filters: the architecture or the kernel lacks them, or an existing filter refuses
 * another one.
 */
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

/** Returns false if `wallSteps` has left open the file that it opened first. */
function madeNamespaces({ helper }: WallDescriptors): boolean {
  try {
    return !readlinkSync(`/proc/self/fd/${helper}`).endsWith("/uid_map")
  } catch {
    return true
  }
}

/** Has the helper empty the file system. The working directory would stay accessible, so it is changed first. */
function emptyRoot({ native, arena }: Machinery, helper: WallHelper | WallDescriptors): boolean {
  process.chdir("/")
  if (helper instanceof WallHelper) return helper.emptyRoot(native, arena)
  const scratch = arena.reserve(4, 4, "the sandbox")
  const number = processBehind(helper.helper)
  native.write(helper.empty, scratch, 1)
  native.close(helper.empty)
  const hasEnded = number !== undefined && native.waitPid(number, 0, scratch) >= 0
  native.close(helper.helper)
  if (!hasEnded) return false
  const end = parseWaitStatus(arena.words[scratch >> 2])
  return "status" in end && end.status === 0
}
