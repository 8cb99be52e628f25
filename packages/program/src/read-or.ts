import { readFileSync } from "node:fs"

/** The text of a file, or a default if it can't be read. */
export function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return otherwise
  }
}
