import type { Text } from "./steps.ts"

/** Where execvp(3) searches when PATH isn't set. */
const DEFAULT_PATH = "/bin:/usr/bin"
/** Bytes of an operand in a list of steps. */
const OPERAND_BYTES = 4

/**
 * The paths to try for a command, as execvp(3) does: the command itself if it contains a slash, else one for each entry
 * of PATH, where an empty entry is the working directory.
 */
export function executablePaths(command: string, path: string | undefined): string[] {
  if (command === "") return []
  if (command.includes("/")) return [command]
  return (path ?? DEFAULT_PATH).split(":").map((folder) => (folder === "" ? command : `${folder}/${command}`))
}

/**
 * The last `count` arguments with which this process was started, byte for byte: the runtime decodes arguments as
 * UTF-8, which destroys those that are not.
 *
 * @param commandLine contents of `/proc/self/cmdline`
 */
export function lastArguments(commandLine: Uint8Array, count: number): Text[] {
  const found: Uint8Array[] = []
  let end = commandLine.length
  while (found.length < count && end > 0) {
    const start = commandLine.lastIndexOf(0, end - 2) + 1
    found.push(commandLine.subarray(start, end - 1))
    end = start
  }
  return found.reverse()
}

/** Arena bytes that a program's arguments take at most among the steps of `runSteps`: a multiple of 8. */
export function roomForArguments(list: readonly string[]): number {
  // Each argument has an operand, and a zero byte at its end.
  const bytes = list.reduce((sum, argument) => sum + Buffer.byteLength(argument) + 1 + OPERAND_BYTES, 0)
  return (bytes + 7) & -8
}
