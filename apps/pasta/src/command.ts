import { executablePaths, type Text } from "@demiflow/sys"

/** A program to run in the namespace. */
export interface Command {
  /** Its name for messages, as the user typed it. */
  readonly name: string
  /** Paths to try in turn. */
  readonly paths: readonly Text[]
  /** The first is the program's own name. */
  readonly arguments: readonly Text[]
}

const FALLBACK_SHELL = "/bin/sh"

/**
 * Decides what to run: the operands, or the user's shell. A dash before the shell's name makes it a login shell.
 *
 * @param operands command and arguments, or nothing
 * @param bytes the operands byte for byte, where they are not valid UTF-8
 */
export function chooseCommand(
  operands: readonly string[],
  variables: Readonly<Record<string, string | undefined>>,
  bytes: readonly Text[] = operands,
): Command {
  const [name] = operands
  if (name !== undefined) return { name, paths: executablePaths(name, variables.PATH), arguments: bytes }
  const shell = variables.SHELL || FALLBACK_SHELL
  return { name: shell, paths: executablePaths(shell, variables.PATH), arguments: [`-${shell}`] }
}
