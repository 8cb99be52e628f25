/** The user that a program runs as: root doesn't stay root. */
import { type Account, type RunAs, resolveRunAs } from "@demiflow/config"
import { errnoSentence } from "@demiflow/sys"
import { Quit } from "./messages.ts"
import { readOr } from "./read-or.ts"

/** A user with its group, by their numbers in this process's user namespace. */
export type Identity = Account

/** The facts about this process that decide its user, read from /proc and /etc. */
export interface IdentityFacts {
  readonly user: number
  readonly group: number
  /** `/proc/self/uid_map` */
  readonly userMap: string
  /** `/proc/self/gid_map` */
  readonly groupMap: string
  /** `/etc/passwd`, empty if there is none. */
  readonly passwords: string
  /** `/etc/group`, empty if there is none. */
  readonly groups: string
  /** Numbers of the capabilities in effect: capabilities(7). */
  readonly capabilities: readonly number[]
}

/** `nobody` by convention, where the system's list of users has none. */
const NOBODY = 65534
/** The map of the initial user namespace, or of one that numbers all users as it does: see user_namespaces(7). */
export const EVERYBODY: RegExp = /^\s*0\s+0\s+4294967295\s*$/

/** Reads the facts about this process. */
export function readIdentityFacts(): IdentityFacts {
  return {
    user: process.geteuid?.() ?? 0,
    group: process.getegid?.() ?? 0,
    userMap: readOr("/proc/self/uid_map", ""),
    groupMap: readOr("/proc/self/gid_map", ""),
    passwords: readOr("/etc/passwd", ""),
    groups: readOr("/etc/group", ""),
    capabilities: effectiveCapabilities(),
  }
}

/** Numbers of the capabilities that this process has in effect: capabilities(7). */
export function effectiveCapabilities(): number[] {
  const status = readOr("/proc/self/status", "")
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`)
  return Array.from({ length: 64 }, (_, number) => number).filter((number) => (effective >> BigInt(number)) & 1n)
}

/**
 * True if the process may do everything on this machine: user 0 where all users have their usual numbers. User 0 in an
 * ordinary user's namespace is that user, with no further rights outside.
 */
export function isRoot({ user, userMap, groupMap }: IdentityFacts): boolean {
  return user === 0 && EVERYBODY.test(userMap) && EVERYBODY.test(groupMap)
}

/**
 * The user to change to: nobody for root. Undefined to stay: for every other user, including user 0 in an ordinary
 * user's namespace, even if that has a nobody. A change there would only lose the privileges over the namespace.
 */
export function chooseIdentity(facts: IdentityFacts): Identity | undefined {
  if (!isRoot(facts)) return undefined
  return findUser(facts.passwords, "nobody") ?? { user: NOBODY, group: NOBODY }
}

/**
 * The user to change to as requested (`--runas`), else as by {@link chooseIdentity}. Undefined to stay. Throws
 * {@link Quit} for a user that doesn't exist.
 */
export function requestedIdentity(runAs: RunAs | undefined, facts: IdentityFacts): Identity | undefined {
  if (runAs === undefined) return chooseIdentity(facts)
  const account = resolveRunAs(runAs, facts.passwords, facts.groups)
  if (account.kind === "error") throw new Quit(account.message)
  const { user, group } = account
  return user === facts.user && group === facts.group ? undefined : { user, group }
}

/** Changes the user and group for good, and drops supplementary groups. Throws {@link Quit}. */
export function changeIdentity({ user, group }: Identity): void {
  try {
    process.setgroups?.([])
    process.setgid?.(group)
    process.setuid?.(user)
  } catch (error) {
    const reason = error instanceof Error && "errno" in error ? errnoSentence(Number(error.errno)) : String(error)
    throw new Quit(`Can't change to user ${user} and group ${group}: ${reason}`)
  }
}

/** Finds a user in `/etc/passwd`, see passwd(5). */
function findUser(passwords: string, name: string): Identity | undefined {
  for (const line of passwords.split("\n")) {
    const [login, , user, group] = line.split(":")
    if (login === name && /^\d+$/.test(user ?? "") && /^\d+$/.test(group ?? "")) {
      return { user: Number(user), group: Number(group) }
    }
  }
  return undefined
}
