import { type Options, resolveNamespaceTarget } from "@demiflow/config"
import { closeInherited, namedDescriptors, type Outcome, pastaCalls, printSandbox } from "@demiflow/program/launch"

/**
 * Connects a namespace: a new one, for a command, or an existing one. Throws an error with a `code` whose message is
 * for the user.
 */
export async function launch(options: Options, operands: readonly string[]): Promise<Outcome> {
  if (options.printsSandbox) return printSandbox(options.runAs, pastaCalls(process.pid, false))
  const target = resolveNamespaceTarget(options)
  // A launcher that returns at once closes everything when it ends.
  if (target.kind === "new" || options.foreground) closeInherited(namedDescriptors(process.argv))
  if (target.kind === "new") {
    const { launchCommand } = await import("./command-launcher.ts")
    return launchCommand(options, target, operands)
  }
  const { launchForNamespace } = await import("./namespace-launcher.ts")
  return launchForNamespace(options, target)
}
