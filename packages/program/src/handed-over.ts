/**
 * Output files that the user names by a descriptor: `-l /dev/fd/5`, `-p /dev/stdout`. The data path opens them, in
 * another process than the one that the user started, where the same number means something else. So the data path
 * receives the descriptor at another number, and a path that names that number.
 */
import { closeSync } from "node:fs"
import type { Configuration, Options } from "@demiflow/config"
import type { Step } from "@demiflow/sys"
import { descriptorOf, pathOf } from "./own-descriptor.ts"

/** Above the numbers that a launcher and a data path use. */
const FIRST_NUMBER = 200
const STANDARD_ERROR = 2

/** How to start a data path with the descriptors that the user's options name. */
export interface HandOver {
  /** The user's options, with the paths for the data path. */
  readonly options: Options
  /** Steps to take first, before any of the numbers is reused. */
  readonly takeAway: readonly Step[]
  /** Steps to take after the one that closes everything else. */
  readonly keep: readonly Step[]
}

/** Renumbers the descriptors that the paths of log and capture name. */
export function handOver(options: Options): HandOver {
  const { logPath, pcapPath } = options
  const numbers = renumber([logPath, pcapPath].map(descriptorOf))
  const renumbered = (path: string | undefined): string | undefined => {
    const number = numbers.get(descriptorOf(path) ?? -1)
    return number === undefined ? path : pathOf(number)
  }
  const pairs = [...numbers]
  return {
    options: { ...options, logPath: renumbered(logPath), pcapPath: renumbered(pcapPath) },
    // A descriptor that isn't open is reported by the data path, which can't open the path.
    takeAway: pairs.map(([descriptor, number]) => ({ kind: "duplicate", descriptor, number, mayFail: true })),
    keep: pairs.map(([, number]) => ({ kind: "duplicate", descriptor: number, number, mayFail: true })),
  }
}

/**
 * Closes the descriptors that were handed over to this data path, except standard ones, once log and capture are open.
 */
export function closeHandedOver({ logFile, pcapPath }: Configuration): void {
  for (const number of new Set([logFile?.path, pcapPath].map(descriptorOf))) {
    if (number !== undefined && number > STANDARD_ERROR) closeSync(number)
  }
}

/**
 * Maps each descriptor to its number in the data path. Numbers from {@link FIRST_NUMBER} on stay unchanged, and are not
 * assigned to others.
 */
function renumber(descriptors: readonly (number | undefined)[]): Map<number, number> {
  const numbers = new Map<number, number>()
  let next = FIRST_NUMBER
  for (const descriptor of descriptors) {
    if (descriptor === undefined || numbers.has(descriptor)) continue
    while (descriptors.includes(next)) next++
    numbers.set(descriptor, descriptor >= FIRST_NUMBER ? descriptor : next++)
  }
  return numbers
}
