import type { Address, OwnAddresses } from "@demiflow/core"
import type { FamilyRules } from "./rules.ts"

/**
 * Whether a closed host keeps a guest from what it has asked for (`--no-host`): addresses of the host's own, names that stand for
 * these, and link-local addresses, at which a host, or whom it rents its machine from, serves those nearby. Groups too: whether
 * the host is a member of one, by whichever of its interfaces, the sender of a datagram can't choose. The guest's router is what
 * the host's routes call so, and no name for the host: what comes from the host may still be seen as from there.
 */
export function isClosedTo(rules: FamilyRules, asked: Address, host: OwnAddresses): boolean {
  if (asked.isMulticast) return true
  if (rules.ourAddress?.equals(asked)) return host.isOwn(asked)
  if (asked.isLinkLocal || rules.hostLoopback?.equals(asked) || rules.guestAlias?.equals(asked)) return true
  return host.isOwn(asked)
}
