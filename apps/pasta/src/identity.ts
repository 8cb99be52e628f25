/** Who the command runs as: the user and group outside that are user and group 0 inside of the user namespace. */

/** A user with its group, as the namespace that this process is in numbers them. */
export interface Identity {
  readonly user: number
  readonly group: number
}

/** What is known of this process, read from /proc and /etc. */
export interface IdentityFacts extends Identity {
  /** `/proc/self/uid_map` */
  readonly userMap: string
  /** `/proc/self/gid_map` */
  readonly groupMap: string
  /** `/etc/passwd`, empty if there is none. */
  readonly passwords: string
}

/** `nobody` by convention, where the system's list of users has none. */
const NOBODY = 65534

/**
 * Whom to change to: nobody for root. Undefined to stay: for everybody else, and for a root that knows no such user, as
 * inside of a user namespace with a single one.
 */
export function chooseIdentity(facts: IdentityFacts): Identity | undefined {
  if (facts.user !== 0) return undefined
  const nobody = findUser(facts.passwords, "nobody") ?? { user: NOBODY, group: NOBODY }
  return isMapped(facts.userMap, nobody.user) && isMapped(facts.groupMap, nobody.group) ? nobody : undefined
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

/** True if the user namespace has this number, see user_namespaces(7). */
function isMapped(map: string, id: number): boolean {
  return map.split("\n").some((line) => {
    const [inside, , count] = line.trim().split(/\s+/).map(Number)
    return id >= inside && id < inside + count
  })
}
