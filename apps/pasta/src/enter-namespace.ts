import { closeSync } from "node:fs"
import { constants } from "node:os"
import { Quit } from "@demiflow/program/command"
import { type HelpedNamespace, NamespaceFlag, type Native, OpenFlag } from "@demiflow/sys"
import { DataPathDescriptor } from "./descriptors.ts"
import { adviceOnJoining, reasonOf } from "./failures.ts"
import { type ExistingNamespace, isNamespace, isOurNamespace, networkPath } from "./namespace-files.ts"

/** Has the helper enter the namespace of a command. Throws {@link Quit}. */
export function enterNewNamespace(native: Native, namespace: HelpedNamespace): void {
  joinUserNamespace(native, namespace, undefined)
  const result = namespace.enter(DataPathDescriptor.network, NamespaceFlag.network)
  if (result < 0) throw new Quit(`Can't enter the new network namespace: ${reasonOf(-result)}`)
  closeSync(DataPathDescriptor.network)
}

/**
 * Has the helper enter an existing namespace. It must be a network namespace other than our own. Throws {@link Quit},
 * with its path in the message.
 *
 * @returns a descriptor of the namespace, opened inside: it refers to the namespace alone. One opened at the path would
 * also keep that mount busy, so that it could not be unmounted
 */
export function enterNamespace(native: Native, namespace: HelpedNamespace, target: ExistingNamespace): number {
  const path = networkPath(target)
  joinUserNamespace(native, namespace, target.userNamespace ?? path)
  const descriptor = openNetwork(native, namespace, path)
  const result = namespace.enter(descriptor, NamespaceFlag.network)
  if (result < 0) throw new Quit(`Can't enter the network namespace ${path}: ${describeEntering(result)}`)
  closeSync(descriptor)
  return checked(namespace.open("/proc/thread-self/ns/net", OpenFlag.readOnly), `open ${path} from inside`)
}

function openNetwork(native: Native, namespace: HelpedNamespace, path: string): number {
  const isNetwork = (descriptor: number): boolean => isNamespace(native, descriptor, NamespaceFlag.network)
  // Opened outside, if that was possible. Otherwise, this number may be something of the runtime's own.
  const descriptor = isNetwork(DataPathDescriptor.network)
    ? DataPathDescriptor.network
    : checked(namespace.open(path, OpenFlag.readOnly), `open the network namespace ${path}`)
  if (!isNetwork(descriptor)) throw new Quit(`${path} is no network namespace`)
  if (isOurNamespace(descriptor, "net")) throw new Quit(`${path} is the network namespace that pasta itself is in`)
  return descriptor
}

/** @param path undefined: the one created for a command */
function joinUserNamespace(native: Native, namespace: HelpedNamespace, path: string | undefined): void {
  const descriptor = DataPathDescriptor.userNamespace
  if (!isNamespace(native, descriptor, NamespaceFlag.user)) return
  const result = namespace.enter(descriptor, NamespaceFlag.user)
  closeSync(descriptor)
  if (result >= 0) return
  const which = path === undefined ? "of the command" : path
  throw new Quit(`Can't join the user namespace ${which}: ${reasonOf(-result)}${adviceOnJoining(-result)}`)
}

function checked(result: number, action: string): number {
  if (result < 0) throw new Quit(`Can't ${action}: ${reasonOf(-result)}`)
  return result
}

function describeEntering(result: number): string {
  if (-result !== constants.errno.EPERM) return reasonOf(-result)
  return (
    `${reasonOf(-result)}; it takes CAP_SYS_ADMIN in the user namespace that it belongs to: name that with --userns, or run pasta ` +
    "inside of it"
  )
}
