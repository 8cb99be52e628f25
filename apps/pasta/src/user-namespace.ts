import { closeSync } from "node:fs"
import { NamespaceFlag, type Native } from "@demiflow/sys"
import { isOurNamespace, openNamespace } from "./namespace-files.ts"

/** _IO(0xb7, 0x1) of <linux/nsfs.h>: opens the user namespace that a namespace belongs to. */
const NS_GET_USERNS = 0xb701

/**
 * Opens a user namespace to join. Returns its descriptor; undefined if it is our own, which can't be joined again.
 * Throws `Quit`, with its path in the message.
 */
export function openUserNamespace(native: Native, path: string): number | undefined {
  return unlessOurs(openNamespace(native, path, NamespaceFlag.user, "user namespace"))
}

/**
 * Opens the user namespace that owns a network namespace. Returns its descriptor; undefined if it is our own, or not
 * below our own, so that it can't be joined from here. Throws `Quit`, with the path in the message.
 */
export function openOwner(native: Native, networkPath: string): number | undefined {
  const network = openNamespace(native, networkPath, NamespaceFlag.network, "network namespace")
  const descriptor = native.ioctl(network, NS_GET_USERNS, 0)
  closeSync(network)
  return descriptor < 0 ? undefined : unlessOurs(descriptor)
}

function unlessOurs(descriptor: number): number | undefined {
  if (!isOurNamespace(descriptor, "user")) return descriptor
  closeSync(descriptor)
  return undefined
}
