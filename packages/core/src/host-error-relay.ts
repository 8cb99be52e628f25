import { Address } from "./address.ts"
import type { Arena } from "./arena.ts"
import { Demiflow } from "./demiflow.ts"
import type { DropReason } from "./drops.ts"
import type { SideRef } from "./flow-table.ts"
import { Errno, ErrorOrigin, emptySocketError, type Host, type Socket, type SocketError } from "./host.ts"
import { IcmpErrors } from "./icmp-error.ts"
import { icmpForm, isRelayed, NO_FORM, tooBigForm } from "./icmp-form.ts"
import type { Components } from "./plugin.ts"
import { icmpErrorBudget } from "./rate-budget.ts"
import { IcmpType, IcmpUnreachable, Icmpv6Type } from "./wire/icmp.ts"

/** Entries of one socket's error queue that are taken at a time. */
const QUEUE_BUDGET = 1024
/** Bytes of payload that the longest quotation can hold (RFC 4443, section 2.4 (c)). */
const QUOTE_LIMIT = 1280

/** What a relay of errors has to know of a flow. */
export interface FlowWithErrors {
  /** The side towards the guest. */
  readonly tapSide: SideRef
  readonly hostSide: SideRef
  /** Bytes of the guest's last packet, as far as its socket was handed them. */
  readonly lastLength: number
}

/**
 * Tells the guest as ICMP errors what happened to its packets beyond us: what the error queues of flows' sockets hold, and
 * what the host answered to a call. For protocols whose packets leave by sockets for datagrams.
 *
 * The packet quoted is the guest's own, with the addresses, ports or identifier that it wrote, from whichever end the flow began:
 * a protocol says how that looks by {@link HostErrorRelay.writeQuote}. "Payload" is what its sockets are handed.
 */
export abstract class HostErrorRelay<Flow extends FlowWithErrors> {
  protected readonly arena: Arena
  /** Arena offset of the space for a quotation. */
  protected readonly quoteOffset: number
  readonly #components: Components
  readonly #unknownError: DropReason
  readonly #headerLength: number
  readonly #icmp: IcmpErrors
  readonly #budget = icmpErrorBudget()
  readonly #tap = new Demiflow()
  readonly #hostSide = new Demiflow()
  readonly #reporter = new Address()
  readonly #entry = emptySocketError()
  /** MTU that the host named last, in refusing a packet as too large; 0 if it didn't. */
  #hostMtu = 0
  #reportedElsewhere = 0

  /**
   * @param unknownError counted for each error that has no form in ICMP
   * @param headerLength bytes that the guest's packets have before the payload
   */
  constructor(components: Components, unknownError: DropReason, headerLength: number) {
    this.arena = components.arena
    this.#components = components
    this.#unknownError = unknownError
    this.#headerLength = headerLength
    this.#icmp = new IcmpErrors(components.arena, components.guest)
    this.quoteOffset = components.arena.reserve(headerLength + QUOTE_LIMIT)
  }

  /** IP protocol number of what the guest sends on a side. */
  protected abstract protocolOn(tap: Demiflow): number

  /**
   * Writes at {@link HostErrorRelay.quoteOffset} how the guest's packet begins, and answers how many bytes that are.
   *
   * @param flow absent if the payload is the guest's own, which the host refused: else it is as a router quoted it
   * @param payloadOffset where in the arena is what is known of its payload
   * @param known bytes of it
   * @param original bytes that it had
   */
  protected abstract writeQuote(
    tap: Demiflow,
    flow: Flow | undefined,
    payloadOffset: number,
    known: number,
    original: number,
  ): number

  /**
   * Entries of the last queue that was emptied which others than the host had reported. As long as there are such, an error that
   * a call answers may be one of theirs, about another packet.
   */
  get reportedElsewhere(): number {
    return this.#reportedElsewhere
  }

  /**
   * Relays what the error queue of a flow's own socket holds; answers how many entries the guest heard of. Those are counted as
   * unknown that aren't about the flow's correspondent.
   */
  drain(flow: Flow & { readonly socket: Socket }): number {
    this.#components.flows.readSide(flow.hostSide, this.#hostSide)
    const { correspondentAddress } = this.#hostSide
    return this.drainShared(flow.socket, (entry) => {
      if (entry.destination.equals(correspondentAddress)) return flow
      this.#components.drops.count(this.#unknownError)
      return undefined
    })
  }

  /**
   * Relays what the error queue of a socket holds that several flows share; answers how many entries the guest heard of.
   *
   * @param flowOf the flow whose packet caused an error, by the packet's destination; undefined passes the error over
   */
  protected drainShared(
    socket: Socket,
    flowOf: (entry: SocketError) => Flow | undefined,
    host: Host = this.#components.host,
  ): number {
    this.#hostMtu = 0
    this.#reportedElsewhere = 0
    let relayed = 0
    for (let taken = 0; taken < QUEUE_BUDGET; taken++) {
      if (host.receiveError(socket, this.#entry) <= 0) break
      if (this.#entry.origin !== ErrorOrigin.host) this.#reportedElsewhere++
      if (this.#relay(flowOf, this.#entry)) relayed++
    }
    return relayed
  }

  /**
   * Tells the guest that the host refused a packet of its, in the name of the address that it wrote to.
   *
   * @param tap side that the packet came on
   * @param errno positive
   * @param payloadOffset of the payload in the arena
   */
  refuse(tap: Demiflow, errno: number, payloadOffset: number, payloadLength: number): void {
    const isTooBig = errno === Errno.EMSGSIZE
    if (isTooBig && this.#hostMtu === 0) return
    const form = isTooBig ? tooBigForm(tap.isV4) : icmpForm(errno, tap.isV4)
    if (form === NO_FORM || !this.#budget.take(this.#components.clock.now)) return
    const information = isTooBig ? this.#hostMtu : 0
    const known = Math.min(payloadLength, QUOTE_LIMIT)
    const quoted = this.writeQuote(tap, undefined, payloadOffset, known, payloadLength)
    this.#send(tap, form, information, tap.forwardingAddress, quoted, payloadLength)
  }

  #relay(flowOf: (entry: SocketError) => Flow | undefined, entry: SocketError): boolean {
    if (entry.origin === ErrorOrigin.host) {
      // The call that it is the answer to, or the next one, reports the same and has the guest's packet at hand.
      if (entry.errno === Errno.EMSGSIZE) this.#hostMtu = entry.information
      return false
    }
    const flow = flowOf(entry)
    if (flow === undefined) return false
    const tap = this.#tap
    this.#components.flows.readSide(flow.tapSide, tap)
    const isV4 = tap.isV4
    const isSame = isRelayed(entry.origin, entry.icmpType, isV4)
    const form = isSame ? (entry.icmpType << 8) | entry.icmpCode : icmpForm(entry.errno, isV4)
    if (form === NO_FORM) {
      this.#components.drops.count(this.#unknownError)
      return false
    }
    const information = isSame ? informationOf(entry, isV4) : 0
    const reporter = this.#reporterOf(flow, tap, entry)
    // Routers quote only the start of a long packet, and its length is lost: that of the last one sent is likely.
    const original = Math.max(entry.payloadLength, flow.lastLength)
    const known = Math.min(entry.payloadLength, QUOTE_LIMIT)
    const quoted = this.writeQuote(tap, flow, entry.payloadOffset, known, original)
    this.#send(tap, form, information, reporter, quoted, original)
    return true
  }

  #send(
    tap: Demiflow,
    form: number,
    information: number,
    reporter: Readonly<Address>,
    quoted: number,
    original: number,
  ): void {
    const protocol = this.protocolOn(tap)
    const length = this.#headerLength + original
    this.#icmp.send(tap, form >> 8, form & 0xff, information, reporter, protocol, this.quoteOffset, quoted, length)
  }

  /** The reporter, as the guest knows it. */
  #reporterOf(flow: Flow, tap: Demiflow, entry: SocketError): Readonly<Address> {
    const reporter = this.#reporter.copyFrom(entry.reporter)
    if (reporter.isUnspecified || reporter.isV4 !== tap.isV4) return tap.forwardingAddress
    this.#components.flows.readSide(flow.hostSide, this.#hostSide)
    // The correspondent itself is known to the guest under the address that the guest wrote to, whatever stands for it.
    if (reporter.equals(this.#hostSide.correspondentAddress)) return tap.forwardingAddress
    this.#components.forwarding.translateToGuest(reporter)
    // The host may have the guest's address, and nobody takes a packet from the address that he has himself.
    return reporter.equals(tap.correspondentAddress) ? tap.forwardingAddress : reporter
  }
}

/** The four bytes behind an error's checksum: an MTU, or nothing. */
function informationOf(entry: SocketError, isV4: boolean): number {
  if (!isV4) return entry.icmpType === Icmpv6Type.packetTooBig ? entry.information : 0
  const isMtu =
    entry.icmpType === IcmpType.destinationUnreachable && entry.icmpCode === IcmpUnreachable.fragmentationNeeded
  return isMtu ? entry.information & 0xffff : 0
}
