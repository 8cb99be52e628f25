import type { Address, OwnAddresses } from "@demiflow/core"
import type { FamilyRules } from "./rules.ts"

/**
 * Returns whether a closed host (`--no-host`) denies the guest a destination.
 *
 * Denied are the host's own addresses and their aliases. So are link-local addresses, at which a host or its provider
 * offers services to neighbours. So are groups: a sender can't choose whether the host receives its datagrams, as a
 * member by any of its interfaces. The address of the guest's router comes from the host's routes and is no alias of
 * the host, although what comes from the host may still have it as its source: it is denied only if it is the host's
 * own.
 */
export function isClosedTo(rules: FamilyRules, asked: Address, host: OwnAddresses): boolean {
  if (asked.isMulticast) return true
  if (rules.ourAddress?.equals(asked)) return host.isOwn(asked)
  if (asked.isLinkLocal || rules.hostLoopback?.equals(asked) || rules.guestAlias?.equals(asked)) return true
  return host.isOwn(asked)
}
