/** The files that represent namespaces, see namespaces(7). */
import { closeSync, fstatSync, openSync, statSync } from "node:fs"
import { resolve } from "node:path"
import type { NamespaceTarget } from "@demiflow/config"
import { Quit } from "@demiflow/program/command"
import { errnoName, errnoSentence, type Native } from "@demiflow/sys"

/** _IO(0xb7, 0x3) of <linux/nsfs.h>: returns the CLONE_NEW… of a namespace's descriptor. */
const NS_GET_NSTYPE = 0xb703

/** A namespace that existed before this program started. */
export type ExistingNamespace = Exclude<NamespaceTarget, { kind: "new" }>

/** Absolute path of the network namespace. */
export function networkPath(target: ExistingNamespace): string {
  return target.kind === "process" ? `/proc/${target.processId}/ns/net` : resolve(target.path)
}

/**
 * The id of the process whose namespace it is and whose end is the namespace's end; undefined if it isn't a process's.
 */
export function processOf(target: ExistingNamespace): number | undefined {
  if (target.kind === "process") return target.processId
  const match = /^\/proc\/(\d+)\/(?:task\/\d+\/)?ns\/net$/.exec(networkPath(target))
  return match === null ? undefined : Number(match[1])
}

/** True if a descriptor refers to a namespace of that kind, a `NamespaceFlag`. */
export function isNamespace(native: Native, descriptor: number, type: number): boolean {
  return native.ioctl(descriptor, NS_GET_NSTYPE, 0) === type
}

/** True if a descriptor refers to the namespace that this process is in. */
export function isOurNamespace(descriptor: number, name: "net" | "user"): boolean {
  const given = fstatSync(descriptor)
  const ours = statSync(`/proc/self/ns/${name}`)
  return given.ino === ours.ino && given.dev === ours.dev
}

/** Opens a namespace of that kind. Throws {@link Quit}, with its path in the message. */
export function openNamespace(native: Native, path: string, type: number, what: string): number {
  const descriptor = openOrQuit(path, what)
  if (isNamespace(native, descriptor, type)) return descriptor
  closeSync(descriptor)
  throw new Quit(`${path} is no ${what}`)
}

function openOrQuit(path: string, what: string): number {
  try {
    return openSync(path, "r")
  } catch (error) {
    throw new Quit(`Can't open the ${what} ${path}: ${reasonOf(error)}`)
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error && "errno" in error)) return String(error)
  const errno = Math.abs(Number(error.errno))
  return `${errnoSentence(errno)} (${errnoName(errno)})`
}
