/** The user to change to (`--runas`): its notation, and its numbers. */

/** A user and a group, by number or by name. */
export interface RunAs {
  readonly user: number | string
  /** Undefined: the user's group. */
  readonly group: number | string | undefined
}

/** A user and a group by number. */
export interface Account {
  readonly user: number
  readonly group: number
}

/** An account, or one sentence on why there is none. */
export type AccountResolution =
  | ({ readonly kind: "account" } & Account)
  | { readonly kind: "error"; readonly message: string }

/** The largest number of a user or group: -1, in 32 bits, stands for none. */
const MAXIMUM_ID = 0xffff_fffe

/** Parses `UID`, `UID:GID`, `LOGIN` or `LOGIN:GROUP`; a number may stand beside a name. Undefined for anything else. */
export function parseRunAs(text: string): RunAs | undefined {
  const [userText, groupText, ...others] = text.split(":")
  const user = parseId(userText)
  if (user === undefined || others.length > 0) return undefined
  if (groupText === undefined) return { user, group: undefined }
  const group = parseId(groupText)
  return group === undefined ? undefined : { user, group }
}

/**
 * Finds the numbers. A user given by number that has no group has the group of the same number.
 *
 * Root is refused: the option exists to become another user.
 *
 * @param passwords text of `/etc/passwd`, see passwd(5)
 * @param groups text of `/etc/group`, see group(5)
 */
export function resolveRunAs(runAs: RunAs, passwords: string, groups: string): AccountResolution {
  const owner =
    typeof runAs.user === "number" ? { user: runAs.user, group: runAs.user } : findUser(passwords, runAs.user)
  if (owner === undefined) return failure(`there is no user ${runAs.user}`)
  if (owner.user === 0) return failure(`${runAs.user} is root`)
  if (runAs.group === undefined) return { kind: "account", ...owner }
  const group = typeof runAs.group === "number" ? runAs.group : findGroup(groups, runAs.group)
  return group === undefined
    ? failure(`there is no group ${runAs.group}`)
    : { kind: "account", user: owner.user, group }
}

function failure(reason: string): AccountResolution {
  return { kind: "error", message: `Invalid user to run as: ${reason}` }
}

function parseId(text: string): number | string | undefined {
  if (!/^\d+$/.test(text)) return /^[^\s,/]+$/.test(text) ? text : undefined
  const id = Number(text)
  return id <= MAXIMUM_ID ? id : undefined
}

function findUser(passwords: string, name: string): Account | undefined {
  const [, , user, group] = findEntry(passwords, name)
  return isNumber(user) && isNumber(group) ? { user: Number(user), group: Number(group) } : undefined
}

function findGroup(groups: string, name: string): number | undefined {
  const [, , group] = findEntry(groups, name)
  return isNumber(group) ? Number(group) : undefined
}

/** The fields of a line that begins with this name; none if there is no such line. */
function findEntry(table: string, name: string): (string | undefined)[] {
  return (
    table
      .split("\n")
      .find((line) => line.startsWith(`${name}:`))
      ?.split(":") ?? []
  )
}

function isNumber(text: string | undefined): boolean {
  return text !== undefined && /^\d+$/.test(text)
}
