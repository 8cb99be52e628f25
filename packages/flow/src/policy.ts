/**
 * The forwarding policy: where a flow goes, by where it comes from.
 *
 * A pure function of the rules and the initiating side. The destination that the guest wrote is the flow's destination,
 * unless it is one of the few aliases for something on the host: the resolver, the host's loopback, the host's global
 * address. Nothing else is ever translated. Datagrams may go to groups as well.
 *
 * If the host is closed, no flow of the guest's may go to it, nor to groups (`closed-host.ts`).
 */
import {
  type Address,
  type DecidedVerdictId,
  type Demiflow,
  type DropReason,
  type Drops,
  type Forwarding,
  type GuestEnds,
  Interface,
  IpProtocol,
  type Listener,
  LOOPBACK_V4,
  LOOPBACK_V6,
  type OwnAddresses,
  type Ruling,
  UNSPECIFIED_V4,
  UNSPECIFIED_V6,
  Verdict,
} from "@demiflow/core"
import { isClosedTo } from "./closed-host.ts"
import { isGroupOutside } from "./groups.ts"
import type { FamilyRules, ForwardingRules } from "./rules.ts"
import {
  addressOfGuest,
  addressOfNamespace,
  aliasOfGuest,
  isGuestAddress,
  isSpliced,
  sourceSeenByGuest,
} from "./towards-guest.ts"

const DNS_PORT = 53
const DNS_OVER_TLS_PORT = 853

/** The first port that systems choose by themselves: Linux from here on, others from 49,152 (RFC 6335, section 6). */
const EPHEMERAL_FROM = 32_768

/** {@link Forwarding} with fixed rules. */
export class ForwardingPolicy implements Forwarding {
  readonly rules: ForwardingRules
  readonly #closed: DropReason
  /** Absent if the host is open. */
  readonly #closedHost: OwnAddresses | undefined
  readonly #disabled: DropReason
  readonly #notUnicast: DropReason
  readonly #loopback: DropReason
  readonly #noRule: DropReason
  readonly #noSource: DropReason
  readonly #noGuestAddress: DropReason
  readonly #noTap: DropReason

  /** @param closedHost determines the host's own addresses; absent if the guest may reach them */
  constructor(rules: ForwardingRules, drops: Drops, closedHost?: OwnAddresses) {
    this.rules = rules
    this.#closedHost = closedHost
    this.#closed = drops.reason("forward: the host is closed to the guest")
    this.#disabled = drops.reason("forward: IP version disabled")
    this.#notUnicast = drops.reason("forward: not a unicast address")
    this.#loopback = drops.reason("forward: loopback address from the guest")
    this.#noRule = drops.reason("forward: no rule")
    this.#noSource = drops.reason("forward: source address that the guest can't answer")
    this.#noGuestAddress = drops.reason("forward: no address of the guest")
    this.#noTap = drops.reason("forward: not from loopback, and nothing else is forwarded")
  }

  target(protocol: number, initiating: Demiflow, ruling: Ruling): DecidedVerdictId {
    const { target } = ruling
    const isV4 = initiating.isV4
    const rules = isV4 ? this.rules.v4 : this.rules.v6
    if (rules === undefined) return ruling.drop(this.#disabled)
    if (initiating.interface !== Interface.tap) return ruling.drop(this.#noRule)
    const asked = initiating.forwardingAddress
    const isReachable =
      asked.isUnicast || (protocol === IpProtocol.udp && isGroupOutside(asked, initiating.forwardingPort))
    if (!isReachable || !initiating.correspondentAddress.isUnicast) return ruling.drop(this.#notUnicast)
    if (asked.isLoopback || initiating.correspondentAddress.isLoopback) return ruling.drop(this.#loopback)

    const correspondent = this.#translateFromGuest(rules, protocol, initiating)
    if (correspondent === undefined) return ruling.refuse(this.#closed)
    target.interface = Interface.host
    target.correspondentAddress.copyFrom(correspondent)
    const isResolver = correspondent === rules.dnsHost && initiating.forwardingPort === DNS_PORT
    target.correspondentPort = (isResolver ? rules.dnsHostPort : undefined) ?? initiating.forwardingPort
    target.forwardingAddress.copyFrom(sourceTowards(rules, correspondent, isV4))
    // A correspondent may expect a certain source port, and an echo identifier should be kept. A TCP port that the
    // guest's system chose has no meaning: the host's kernel chooses one as well, at once and among the free ones.
    const port = initiating.correspondentPort
    target.forwardingPort = protocol === IpProtocol.tcp && port >= EPHEMERAL_FROM ? 0 : port
    return ruling.forward()
  }

  /** An address may have become the host's own, to which a closed host denies access. Nothing else changes. */
  again(protocol: number, initiating: Demiflow, ruling: Ruling): DecidedVerdictId {
    return this.#closedHost === undefined ? Verdict.forward : this.target(protocol, initiating, ruling)
  }

  /** Returns undefined if the host is closed to the guest there. */
  #translateFromGuest(rules: FamilyRules, protocol: number, initiating: Demiflow): Readonly<Address> | undefined {
    const { forwardingAddress: asked, forwardingPort: port, isV4 } = initiating
    if (rules.dnsHost !== undefined && rules.dnsForward?.equals(asked) && isDns(protocol, port)) return rules.dnsHost
    if (this.#closedHost !== undefined) return isClosedTo(rules, asked, this.#closedHost) ? undefined : asked
    if (rules.hostLoopback?.equals(asked)) return isV4 ? LOOPBACK_V4 : LOOPBACK_V6
    if (rules.guestAddress !== undefined && rules.guestAlias?.equals(asked)) return rules.guestAddress
    return asked
  }

  hasOutboundAddress(isV4: boolean): boolean {
    return (isV4 ? this.rules.v4 : this.rules.v6)?.outboundAddress !== undefined
  }

  targetAtGuest(listener: Listener, initiating: Demiflow, guest: GuestEnds, ruling: Ruling): DecidedVerdictId {
    const { target } = ruling
    const isV4 = initiating.isV4
    const rules = isV4 ? this.rules.v4 : this.rules.v6
    if (rules === undefined) return ruling.drop(this.#disabled)
    if (!initiating.correspondentAddress.isUnicast) return ruling.drop(this.#notUnicast)
    if (isSpliced(this.rules.splicing, listener, initiating)) {
      return this.#splice(listener, initiating, addressOfNamespace(guest, isV4), ruling)
    }
    if (this.rules.splicing?.isOnly) return ruling.drop(this.#noTap)
    const seenAs = this.sourceTowardsGuest(initiating.correspondentAddress, guest)
    if (seenAs === undefined) return ruling.drop(this.#noSource)
    const correspondent =
      listener.targetAddress ?? addressOfGuest(rules, initiating.forwardingAddress, seenAs, guest, isV4)
    if (correspondent.isV4 !== isV4 || !correspondent.isUnicast) return ruling.drop(this.#noGuestAddress)
    target.interface = Interface.tap
    target.forwardingAddress.copyFrom(seenAs)
    target.forwardingPort = initiating.correspondentPort
    target.correspondentAddress.copyFrom(correspondent)
    target.correspondentPort = listener.targetPort
    return ruling.forward()
  }

  sourceTowardsGuest(source: Address, guest: GuestEnds): Readonly<Address> | undefined {
    const isV4 = source.isV4
    const rules = isV4 ? this.rules.v4 : this.rules.v6
    if (rules === undefined || !source.isUnicast) return undefined
    return sourceSeenByGuest(rules, source, guest, isV4)
  }

  /**
   * Derives the side of a flow from a socket at one end to a socket at the other. Loopback addresses at this end, both
   * source and destination, are kept at the other end, unless a rule says otherwise. The other end's kernel chooses
   * everything else.
   */
  #splice(listener: Listener, initiating: Demiflow, namespace: Readonly<Address>, ruling: Ruling): DecidedVerdictId {
    const { target } = ruling
    const isV4 = initiating.isV4
    const asked = initiating.forwardingAddress
    const isTowardsNamespace = initiating.interface === Interface.host
    const { keepsLoopback = false, isOnly = false } = this.rules.splicing ?? {}
    const isPublic = isTowardsNamespace && !isOnly && !(keepsLoopback && asked.isLoopback)
    const loopback = asked.isLoopback ? asked : isV4 ? LOOPBACK_V4 : LOOPBACK_V6
    const correspondent = listener.targetAddress ?? (isPublic ? namespace : loopback)
    if (correspondent.isV4 !== isV4 || !correspondent.isUnicast) return ruling.drop(this.#noGuestAddress)
    target.interface = isTowardsNamespace ? Interface.splice : Interface.host
    target.forwardingAddress.copyFrom(sourceOnLoopback(initiating.correspondentAddress, correspondent, isV4))
    target.forwardingPort = 0
    target.correspondentAddress.copyFrom(correspondent)
    target.correspondentPort = listener.targetPort
    return ruling.forward()
  }

  translateToGuest(address: Address): void {
    const rules = address.isV4 ? this.rules.v4 : this.rules.v6
    if (rules === undefined) return
    const known = address.isLoopback
      ? rules.hostLoopback
      : isGuestAddress(rules, address)
        ? aliasOfGuest(rules)
        : undefined
    if (known !== undefined) address.copyFrom(known)
  }
}

/** Keeps a loopback source other than 127.0.0.1, because the kernel would choose 127.0.0.1 for all of them. */
function sourceOnLoopback(source: Address, correspondent: Readonly<Address>, isV4: boolean): Readonly<Address> {
  const isKept = isV4 && source.isLoopback && correspondent.isLoopback && !source.equals(LOOPBACK_V4)
  return isKept ? source : isV4 ? UNSPECIFIED_V4 : UNSPECIFIED_V6
}

function isDns(protocol: number, port: number): boolean {
  if (port !== DNS_PORT && port !== DNS_OVER_TLS_PORT) return false
  return protocol === IpProtocol.udp || protocol === IpProtocol.tcp
}

function sourceTowards(rules: FamilyRules, correspondent: Readonly<Address>, isV4: boolean): Readonly<Address> {
  if (correspondent.isLoopback) return isV4 ? LOOPBACK_V4 : LOOPBACK_V6
  return rules.outboundAddress ?? (isV4 ? UNSPECIFIED_V4 : UNSPECIFIED_V6)
}
