import { constants } from "node:os"
import { Quit } from "@demiflow/program/command"
import { errnoName, errnoSentence, FileCommand, NamespaceFlag, type Native, OpenFlag } from "@demiflow/sys"
import { DataPathDescriptor } from "./descriptors.ts"
import { type ExistingNamespace, isNamespace, isOurNamespace, networkPath } from "./namespace-files.ts"

/**
 * Makes sure that the namespace to connect is a network namespace, that it isn't the one that we are in, and that this
 * process may act in it. Throws {@link Quit}, with its path in the message.
 *
 * The descriptor is replaced with one that was opened inside: that is of the namespace alone, where the first one is of the
 * path as well, which could not be unmounted as long as it is open.
 */
export function enterNamespace(native: Native, target: ExistingNamespace): void {
  const descriptor = DataPathDescriptor.network
  const path = networkPath(target)
  if (!isNamespace(native, descriptor, NamespaceFlag.network)) throw new Quit(`${path} is no network namespace`)
  if (isOurNamespace(descriptor, "net")) throw new Quit(`${path} is the network namespace that pasta itself is in`)
  const inside = native.openInNamespace(descriptor, "/proc/thread-self/ns/net", OpenFlag.readOnly)
  if (inside < 0) throw new Quit(`Can't enter the network namespace ${path}: ${describe(inside)}`)
  native.close(descriptor)
  // The lowest number that is free from there on: that one.
  native.fileControl(inside, FileCommand.duplicate, descriptor)
  native.close(inside)
}

function describe(result: number): string {
  const reason = `${errnoSentence(result)} (${errnoName(result)})`
  if (-result !== constants.errno.EPERM) return reason
  return (
    `${reason}; it takes CAP_SYS_ADMIN in the user namespace that it belongs to: name that with --userns, or run pasta ` +
    "inside of it"
  )
}
