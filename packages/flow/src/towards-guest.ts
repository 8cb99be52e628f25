/** Parts of the policy for flows that begin at a listener. */
import { type Address, type Demiflow, type GuestEnds, Interface, type Listener } from "@demiflow/core"
import type { FamilyRules, SplicingRules } from "./rules.ts"

/**
 * Returns whether a flow goes from socket to socket. All flows that begin in the namespace do. Unless that is disabled,
 * so do flows to the namespace's loopback address, which can't be reached in any other way, and flows local to the
 * host.
 */
export function isSpliced(splicing: SplicingRules | undefined, listener: Listener, initiating: Demiflow): boolean {
  if (splicing === undefined) return false
  if (initiating.interface === Interface.splice) return true
  if (!splicing.takesFromHost) return false
  const { targetAddress } = listener
  return targetAddress === undefined ? initiating.correspondentAddress.isLoopback : targetAddress.isLoopback
}

/** Returns the address by which others reach a namespace. */
export function addressOfNamespace(guest: GuestEnds, isV4: boolean): Readonly<Address> {
  if (isV4) return guest.lastSeenV4
  return guest.lastSeenV6.isUnspecified ? guest.lastSeenLinkLocal : guest.lastSeenV6
}

/**
 * Returns the address by which the guest sees a correspondent. The guest's own loopback and its own addresses are
 * useless as a source: the guest would reply to itself. The host's loopback has the alias in the rules, or none. An
 * address that the host shares with the guest has its alias, or else the correspondent appears as ourselves:
 * `passt(1)`, --gateway.
 */
export function sourceSeenByGuest(
  rules: FamilyRules,
  source: Readonly<Address>,
  guest: GuestEnds,
  isV4: boolean,
): Readonly<Address> | undefined {
  if (source.isLoopback) return rules.hostLoopback
  const { lastSeenV4, lastSeenV6, lastSeenLinkLocal, ourLinkLocal } = guest
  if (!isV4 && source.equals(lastSeenLinkLocal)) return ourLinkLocal
  if (!source.equals(isV4 ? lastSeenV4 : lastSeenV6) && !isGuestAddress(rules, source)) return source
  return aliasOfGuest(rules) ?? (isV4 ? rules.hostLoopback : ourLinkLocal)
}

/** True if the guest was given the address. */
export function isGuestAddress(rules: FamilyRules, address: Readonly<Address>): boolean {
  return rules.guestAddress?.equals(address) === true || isSetUp(rules, address)
}

function isSetUp({ addressesSetUp = [] }: FamilyRules, address: Readonly<Address>): boolean {
  return addressesSetUp.some((other) => other.equals(address))
}

/** Returns the address by which the guest knows the host where both have the same address. */
export function aliasOfGuest({ guestAlias, ourAddress }: FamilyRules): Readonly<Address> | undefined {
  return guestAlias ?? ourAddress
}

/**
 * Returns the guest's address for a flow from a correspondent that it knows as `seenAs`, and that used the host's
 * address `asked`. If the guest has `asked` too, the flow goes there: the guest's kernel, and programs that listen on
 * one address, then see what the host's would.
 */
export function addressOfGuest(
  rules: FamilyRules,
  asked: Address,
  seenAs: Readonly<Address>,
  guest: GuestEnds,
  isV4: boolean,
): Readonly<Address> {
  const { lastSeenV4, lastSeenV6, lastSeenLinkLocal } = guest
  // A link-local source needs a link-local destination, if one is known.
  if (!isV4 && seenAs.isLinkLocal) return lastSeenLinkLocal.isUnspecified ? lastSeenV6 : lastSeenLinkLocal
  const isSpecial = !asked.isUnicast || asked.isLoopback || (!isV4 && asked.isLinkLocal) || asked.equals(seenAs)
  if (!isSpecial && guest.hasAddress(asked, isSetUp(rules, asked))) return asked
  return isV4 ? lastSeenV4 : lastSeenV6
}
