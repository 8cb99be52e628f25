/** Which network namespace the options mean. */
import type { NamespaceTarget, UserNamespace } from "./configuration.ts"
import type { Options } from "./options.ts"

/** Options that contradict each other are refused with the command line; here they all go together. */
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
