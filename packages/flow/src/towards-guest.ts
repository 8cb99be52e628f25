/** Pieces of the policy for flows that begin at a listener. */
import { type Address, type Demiflow, type GuestEnds, Interface, type Listener } from "@demiflow/core"
import type { FamilyRules, SplicingRules } from "./rules.ts"

/**
 * Whether the flow goes from socket to socket: all that begin in the namespace, and, unless that is turned off, those to its
 * loopback address, which can be reached in no other way, and those that are local to the host.
 */
export function isSpliced(splicing: SplicingRules | undefined, listener: Listener, initiating: Demiflow): boolean {
  if (splicing === undefined) return false
  if (initiating.interface === Interface.splice) return true
  if (!splicing.isForInbound) return false
  const { targetAddress } = listener
  return targetAddress === undefined ? initiating.correspondentAddress.isLoopback : targetAddress.isLoopback
}

/** The address that a namespace has for others. */
export function addressOfNamespace(guest: GuestEnds, isV4: boolean): Readonly<Address> {
  if (isV4) return guest.lastSeenV4
  return guest.lastSeenV6.isUnspecified ? guest.lastSeenLinkLocal : guest.lastSeenV6
}

/**
 * The address under which the guest hears of a correspondent. Its own loopback and its own addresses would be no use to it
 * as a source: it would answer itself. The host's loopback has the name that the rules give it, or none. An address that
 * the host shares with the guest has its alias, or else the correspondent appears as ourselves: `passt(1)`, --gateway.
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

/** What the guest knows the host by, where both have an address. */
export function aliasOfGuest({ guestAlias, ourAddress }: FamilyRules): Readonly<Address> | undefined {
  return guestAlias ?? ourAddress
}

/**
 * Where the guest is reached by somebody whom it knows as `seenAs`, and who asked the host at `asked`. A guest that has that
 * address as well is reached there: its own kernel, and programs that listen at one address, then see what the host's would.
 */
export function addressOfGuest(
  rules: FamilyRules,
  asked: Address,
  seenAs: Readonly<Address>,
  guest: GuestEnds,
  isV4: boolean,
): Readonly<Address> {
  const { lastSeenV4, lastSeenV6, lastSeenLinkLocal } = guest
  // What comes from a link-local address goes to one, as far as they are known.
  if (!isV4 && seenAs.isLinkLocal) return lastSeenLinkLocal.isUnspecified ? lastSeenV6 : lastSeenLinkLocal
  const isSpecial = !asked.isUnicast || asked.isLoopback || (!isV4 && asked.isLinkLocal) || asked.equals(seenAs)
  if (!isSpecial && guest.hasAddress(asked, isSetUp(rules, asked))) return asked
  return isV4 ? lastSeenV4 : lastSeenV6
}
