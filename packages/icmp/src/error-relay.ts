import {
  Address,
  type Arena,
  addSums,
  type Components,
  Demiflow,
  Errno,
  ErrorBudget,
  ErrorOrigin,
  finishChecksum,
  type Host,
  ICMP_CHECKSUM,
  ICMP_HEADER_LENGTH,
  ICMP_IDENTIFIER,
  ICMP_SEQUENCE,
  ICMP_TYPE,
  IcmpErrors,
  IcmpType,
  IcmpUnreachable,
  Icmpv6Type,
  IpProtocol,
  icmpForm,
  isRelayed,
  NO_FORM,
  type SocketError,
  sumPseudoHeader,
  tooBigForm,
} from "@demiflow/core"
import type { IcmpReasons } from "./reasons.ts"
import type { EchoFlow } from "./state.ts"

/** Entries of one socket's error queue that are taken at a time: more than a socket's buffer holds. */
const QUEUE_BUDGET = 1024
/** Bytes of an echo request that the longest quotation can hold (RFC 4443, section 2.4 (c)). */
const QUOTE_LIMIT = 1280

/**
 * Tells the guest as ICMP errors what happened to its echo requests beyond us. The request quoted is the guest's own: the
 * host may have sent it under another identifier and from and to other addresses.
 */
export class ErrorRelay {
  readonly #components: Components
  readonly #arena: Arena
  readonly #host: Host
  readonly #reasons: IcmpReasons
  readonly #icmp: IcmpErrors
  readonly #budget = new ErrorBudget()
  readonly #quote: number
  readonly #tap = new Demiflow()
  readonly #hostSide = new Demiflow()
  readonly #reporter = new Address()
  readonly #entry: SocketError = {
    errno: 0,
    origin: 0,
    icmpType: 0,
    icmpCode: 0,
    information: 0,
    reporter: new Address(),
    destination: new Address(),
    destinationPort: 0,
    payloadOffset: 0,
    payloadLength: 0,
  }
  /** MTU that the host named last, in refusing a request as too large; 0 if it didn't. */
  #hostMtu = 0

  constructor(components: Components, reasons: IcmpReasons) {
    this.#components = components
    this.#arena = components.arena
    this.#host = components.host
    this.#reasons = reasons
    this.#icmp = new IcmpErrors(components.arena, components.guest)
    this.#quote = components.arena.reserve(QUOTE_LIMIT)
  }

  /** Relays what a flow's error queue holds. */
  drain(flow: EchoFlow): void {
    this.#hostMtu = 0
    for (let taken = 0; taken < QUEUE_BUDGET; taken++) {
      if (this.#host.receiveError(flow.socket, this.#entry) <= 0) return
      this.#relay(flow, this.#entry)
    }
  }

  /**
   * Tells the guest that the host refused a request of its.
   *
   * @param tap side that the request came on
   * @param errno positive
   * @param offset of the guest's message in the arena
   */
  refuse(tap: Demiflow, errno: number, offset: number, length: number): void {
    const isTooBig = errno === Errno.EMSGSIZE
    if (isTooBig && this.#hostMtu === 0) return
    const form = isTooBig ? tooBigForm(tap.isV4) : icmpForm(errno, tap.isV4)
    if (form === NO_FORM || !this.#budget.take(this.#components.clock.now)) return
    this.#send(tap, form, isTooBig ? this.#hostMtu : 0, tap.forwardingAddress, offset, length, length)
  }

  #relay(flow: EchoFlow, entry: SocketError): void {
    if (entry.origin === ErrorOrigin.host) {
      // The call that it is the answer to, or the next one, tells the same and has the guest's packet at hand.
      if (entry.errno === Errno.EMSGSIZE) this.#hostMtu = entry.information
      return
    }
    const tap = this.#tap
    this.#components.flows.readSide(flow.tapSide, tap)
    const isV4 = tap.isV4
    const isSame = isRelayed(entry.origin, entry.icmpType, isV4)
    const form = isSame ? (entry.icmpType << 8) | entry.icmpCode : icmpForm(entry.errno, isV4)
    if (form === NO_FORM) {
      this.#components.drops.count(this.#reasons.unknownError)
      return
    }
    const information = isSame ? informationOf(entry, isV4) : 0
    const reporter = this.#reporterOf(flow, tap, entry)
    // Routers quote only the start of a long request, and its length is lost: that of the last one sent is likely.
    const original = Math.max(entry.payloadLength, flow.lastLength)
    const known = this.#writeQuote(flow, tap, entry, original)
    this.#send(tap, form, information, reporter, this.#quote, known, original)
  }

  #send(
    tap: Demiflow,
    form: number,
    information: number,
    reporter: Readonly<Address>,
    offset: number,
    known: number,
    original: number,
  ): void {
    const protocol = tap.isV4 ? IpProtocol.icmp : IpProtocol.icmpv6
    this.#icmp.send(tap, form >> 8, form & 0xff, information, reporter, protocol, offset, known, original)
  }

  /** Who reported it, as the guest knows it. */
  #reporterOf(flow: EchoFlow, tap: Demiflow, entry: SocketError): Readonly<Address> {
    const reporter = this.#reporter.copyFrom(entry.reporter)
    if (reporter.isUnspecified || reporter.isV4 !== tap.isV4) return tap.forwardingAddress
    this.#components.flows.readSide(flow.hostSide, this.#hostSide)
    // The correspondent itself is known to the guest under the address that the guest wrote to, whatever stands for it.
    if (reporter.equals(this.#hostSide.correspondentAddress)) return tap.forwardingAddress
    this.#components.forwarding.translateToGuest(reporter)
    // The host may have the guest's address, and nobody takes a packet from the address that he has himself.
    return reporter.equals(tap.correspondentAddress) ? tap.forwardingAddress : reporter
  }

  /** Writes the guest's request as far as it is known, and answers how much of it that is. */
  #writeQuote(flow: EchoFlow, tap: Demiflow, entry: SocketError, original: number): number {
    const view = this.#arena.view
    const quote = this.#quote
    const known = Math.min(entry.payloadLength, QUOTE_LIMIT)
    this.#arena.copy(entry.payloadOffset, quote, known)
    if (known < ICMP_HEADER_LENGTH) {
      view.setUint16(quote + ICMP_TYPE, (tap.isV4 ? IcmpType.echoRequest : Icmpv6Type.echoRequest) << 8)
      view.setUint16(quote + ICMP_SEQUENCE, flow.lastSequence)
    }
    view.setUint16(quote + ICMP_IDENTIFIER, tap.correspondentPort)
    view.setUint16(quote + ICMP_CHECKSUM, 0)
    if (known < original) return Math.max(known, ICMP_HEADER_LENGTH)
    const pseudoHeader = tap.isV4 ? 0 : sumPseudoHeader(tap, IpProtocol.icmpv6, known)
    view.setUint16(quote + ICMP_CHECKSUM, finishChecksum(addSums(this.#arena.sum(quote, known, 0), pseudoHeader)))
    return known
  }
}

/** The four bytes behind an error's checksum: an MTU, or nothing. */
function informationOf(entry: SocketError, isV4: boolean): number {
  if (!isV4) return entry.icmpType === Icmpv6Type.packetTooBig ? entry.information : 0
  const isMtu =
    entry.icmpType === IcmpType.destinationUnreachable && entry.icmpCode === IcmpUnreachable.fragmentationNeeded
  return isMtu ? entry.information & 0xffff : 0
}
