/** The network namespace that the options name. */
import type { NamespaceTarget, UserNamespace } from "./configuration.ts"
import type { Options } from "./options.ts"

/** The command line parser has refused contradictory options: these are consistent. */
export function resolveNamespaceTarget(options: Options): NamespaceTarget {
  const { processId, networkNamespace: path, userNamespace, networkNamespaceOnly } = options
  if (processId !== undefined) {
    const ofProcess = networkNamespaceOnly ? undefined : `/proc/${processId}/ns/user`
    return { kind: "process", processId, userNamespace: userNamespace ?? ofProcess }
  }
  if (path !== undefined) return { kind: "path", path, userNamespace }
  return { kind: "new", userNamespace: resolveUserNamespace(options), hasPidNamespace: !options.noPidNamespace }
}

function resolveUserNamespace({ userNamespace: path, networkNamespaceOnly }: Options): UserNamespace {
  if (path !== undefined) return { kind: "path", path }
  return { kind: networkNamespaceOnly ? "current" : "new" }
}
