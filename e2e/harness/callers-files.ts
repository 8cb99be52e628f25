/** A log and a capture that the caller has open, and that the options name by descriptors. */
import { chmodSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { temporaryFolder } from "./machine.ts"

export interface CallersFiles {
  /** The prefix of the command line that opens the files. */
  readonly before: readonly string[]
  readonly options: readonly string[]
  /** First line of the log up to the process number, and the first bytes of the capture. */
  begin(): readonly string[]
}

/** The value of {@link CallersFiles.begin} once both files are written. */
export const beginningOf = (program: string): readonly string[] => [`${program} started as process`, "d4c3b2a1"]

export function callersFiles(): CallersFiles {
  const folder = temporaryFolder("callers-files")
  const files = [join(folder, "log"), join(folder, "capture")]
  for (const file of files) {
    writeFileSync(file, "")
    // Opening the descriptor's path needs the permission again.
    chmodSync(file, 0o666)
  }
  const [log = "", capture = ""] = files
  return {
    // The first number is one that the data path uses itself.
    before: ["sh", "-euc", 'exec 5>"$0" 6>"$1"; shift; exec "$@"', ...files],
    options: ["-l", "/dev/fd/5", "-p", "/proc/self/fd/6"],
    begin: () => [readFileSync(log, "utf8").replace(/ \d+,.*/s, ""), readFileSync(capture).toString("hex", 0, 4)],
  }
}
