/**
 * System calls that a filter of ours has refused: the list of calls lacks them, or something makes them that should not. Whatever
 * prints one fails its case; whatever logs one, or is over later, fails the file.
 */
import { readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"

/** As `program/wall/refusals` reports it. */
const REFUSAL = /System call \d+ was refused/g
/** Logs of ours are smaller: captures and what was transferred are not read. */
const LARGEST_LOG = 4 << 20

const found: string[] = []
const folders: string[] = []

/** Looks for refusals in what a program has printed. */
export function noteRefusals(command: string, text: string): void {
  for (const [refusal] of text.matchAll(REFUSAL)) found.push(`${command}: ${refusal}`)
}

/** Has the files of a folder looked at when the cases of a file are over: they may be logs. */
export function searchForRefusals(folder: string): void {
  folders.push(folder)
}

/** What has been printed since it was asked for last. */
export function takePrintedRefusals(): readonly string[] {
  return found.splice(0)
}

/** What has been printed or logged since it was asked for last. */
export function takeRefusals(): readonly string[] {
  for (const path of folders.splice(0).flatMap(filesOf)) noteRefusals(path, readFileSync(path, "latin1"))
  return takePrintedRefusals()
}

function filesOf(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .map((name) => join(folder, name))
      .filter((path) => {
        const status = statSync(path)
        return status.isFile() && status.size <= LARGEST_LOG
      })
  } catch {
    return [] // Removed since, as is a file between the two calls.
  }
}
