/**
 * System calls that a filter of ours has refused: the list lacks them, or code makes calls that it should not. A
 * refusal in a program's output fails the case; one in a log, or after the case, fails the file. A protocol that has
 * thrown does the same.
 */
import { readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"

/** The messages of `program/wall/refusals`, and of the stack about a protocol that has thrown. */
const REFUSAL = /System call \d+ was refused|The protocol "\w+" failed/g
/** Our logs are smaller: captures and transferred files are not read. */
const LARGEST_LOG = 4 << 20

const found: string[] = []
const folders: string[] = []

/** Searches a program's output for refusals. */
export function noteRefusals(command: string, text: string): void {
  for (const [refusal] of text.matchAll(REFUSAL)) found.push(`${command}: ${refusal}`)
}

/** Registers a folder whose files, which may be logs, are searched when the cases of a file are over. */
export function searchForRefusals(folder: string): void {
  folders.push(folder)
}

/** Refusals printed since the last call. */
export function takePrintedRefusals(): readonly string[] {
  return found.splice(0)
}

/** Refusals printed or logged since the last call. */
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
    return [] // The file was removed between the two calls.
  }
}
