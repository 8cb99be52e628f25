/**
 * Output files that the user names by a descriptor: `-l /dev/fd/5`, `-p /dev/stdout`. The data path opens them, and the data path
 * is another process than the one that the user started: the same number is something else there. So the data path is
 * started with the descriptor at another number, and with a path that names that number.
 */
import { closeSync } from "node:fs"
import type { Configuration, Options } from "@demiflow/config"
import type { Step } from "@demiflow/sys"
import { descriptorOf, pathOf } from "./own-descriptor.ts"

/** Above the numbers that a launcher and a data path use. */
const FIRST_NUMBER = 200
const STANDARD_ERROR = 2

/** How to start a data path with the descriptors that the user names. */
export interface HandOver {
  /** The user's options, with the paths for the data path. */
  readonly options: Options
  /** Steps to take first, before any of the numbers is used for something else. */
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
    // The data path reports a descriptor that isn't open, when the path can't be opened.
    takeAway: pairs.map(([descriptor, number]) => ({ kind: "duplicate", descriptor, number, mayFail: true })),
    keep: pairs.map(([, number]) => ({ kind: "duplicate", descriptor: number, number, mayFail: true })),
  }
}

/** Closes in the data path what was handed over, standard descriptors excepted, once log and capture are open. */
export function closeHandedOver({ logFile, pcapPath }: Configuration): void {
  for (const number of new Set([logFile?.path, pcapPath].map(descriptorOf))) {
    if (number !== undefined && number > STANDARD_ERROR) closeSync(number)
  }
}

/** The data path's number of each descriptor. Numbers from {@link FIRST_NUMBER} on stay as they are, and free of others. */
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
