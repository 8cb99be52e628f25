/** The user that a program runs as: root doesn't stay root. */
import { type Account, type RunAs, resolveRunAs } from "@demiflow/config"
import { errnoSentence } from "@demiflow/sys"
import { Quit } from "./messages.ts"
import { readOr } from "./read-or.ts"

/** A user with its group, as the namespace that this process is in numbers them. */
export type Identity = Account

/** What is known of this process, read from /proc and /etc. */
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
/** A map of the initial user namespace, or of one that numbers everybody as it does: see user_namespaces(7). */
const EVERYBODY = /^\s*0\s+0\s+4294967295\s*$/

/** What is known of who we are. */
export function readIdentityFacts(): IdentityFacts {
  return {
    user: process.geteuid?.() ?? 0,
    group: process.getegid?.() ?? 0,
    userMap: readOr("/proc/self/uid_map", ""),
    groupMap: readOr("/proc/self/gid_map", ""),
    passwords: readOr("/etc/passwd", ""),
    groups: readOr("/etc/group", ""),
    capabilities: capabilitiesOf(readOr("/proc/self/status", "")),
  }
}

function capabilitiesOf(status: string): number[] {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`)
  return Array.from({ length: 64 }, (_, number) => number).filter((number) => (effective >> BigInt(number)) & 1n)
}

/**
 * True for who may do everything on this machine: user 0 where all users have their usual numbers. User 0 in a user
 * namespace of somebody else's is that somebody, with no more rights outside than they have.
 */
export function isRoot({ user, userMap, groupMap }: IdentityFacts): boolean {
  return user === 0 && EVERYBODY.test(userMap) && EVERYBODY.test(groupMap)
}

/**
 * Whom to change to: nobody for root. Undefined to stay: for everybody else, user 0 in somebody's user namespace included,
 * where a change would only lose the privileges over that namespace, and even if it has a nobody.
 */
export function chooseIdentity(facts: IdentityFacts): Identity | undefined {
  if (!isRoot(facts)) return undefined
  return findUser(facts.passwords, "nobody") ?? { user: NOBODY, group: NOBODY }
}

/**
 * Whom to change to if the user says so (`--runas`), or as {@link chooseIdentity} if not. Undefined to stay. Throws
 * {@link Quit} for somebody who isn't there.
 */
export function requestedIdentity(runAs: RunAs | undefined, facts: IdentityFacts): Identity | undefined {
  if (runAs === undefined) return chooseIdentity(facts)
  const account = resolveRunAs(runAs, facts.passwords, facts.groups)
  if (account.kind === "error") throw new Quit(account.message)
  const { user, group } = account
  return user === facts.user && group === facts.group ? undefined : { user, group }
}

/** Becomes somebody else for good, without supplementary groups. Throws {@link Quit}. */
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

/** A user of `/etc/passwd`, see passwd(5). */
function findUser(passwords: string, name: string): Identity | undefined {
  for (const line of passwords.split("\n")) {
    const [login, , user, group] = line.split(":")
    if (login === name && /^\d+$/.test(user ?? "") && /^\d+$/.test(group ?? "")) {
      return { user: Number(user), group: Number(group) }
    }
  }
  return undefined
}
