import { closeSync } from "node:fs"
import { NamespaceFlag, type Native } from "@demiflow/sys"
import { isOurNamespace, openNamespace } from "./namespace-files.ts"

/**
 * The descriptor of a user namespace to join; undefined if it is our own, which can't be joined again. Throws `Quit`, with
 * its path in the message.
 */
export function openUserNamespace(native: Native, path: string): number | undefined {
  const descriptor = openNamespace(native, path, NamespaceFlag.user, "user namespace")
  if (!isOurNamespace(descriptor, "user")) return descriptor
  closeSync(descriptor)
  return undefined
}
