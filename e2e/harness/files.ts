/** Files that a program writes when it is ready. */
import { readFileSync, watch } from "node:fs"
import { basename, dirname } from "node:path"

function wholeLines(file: string): string | undefined {
  try {
    const text = readFileSync(file, "utf8")
    return text.endsWith("\n") ? text : undefined
  } catch {
    return undefined
  }
}

export interface Awaited {
  /** Settles with the file's text once it ends with a line, or when `forget` is called. */
  readonly text: Promise<string | undefined>
  forget(): void
}

/** Watches for a file that does not exist yet. Call it before the program is started. */
export function awaitFile(file: string): Awaited {
  const watcher = watch(dirname(file))
  const text = new Promise<string | undefined>((resolve, reject) => {
    watcher.on("change", (_event, name) => {
      const there = name === basename(file) ? wholeLines(file) : undefined
      if (there === undefined) return
      watcher.close()
      resolve(there)
    })
    watcher.on("error", reject)
    watcher.on("close", () => resolve(wholeLines(file)))
  })
  return { text, forget: () => watcher.close() }
}
