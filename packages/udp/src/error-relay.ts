import {
  Address,
  type Arena,
  addSums,
  type Components,
  Demiflow,
  Errno,
  ErrorBudget,
  ErrorOrigin,
  finishUdpChecksum,
  type Host,
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
  UDP_CHECKSUM,
  UDP_HEADER_LENGTH,
  UDP_LENGTH,
  UDP_SOURCE_PORT,
  UDP_TARGET_PORT,
} from "@demiflow/core"
import type { UdpReasons } from "./reasons.ts"
import type { UdpFlow } from "./state.ts"

/** Entries of one socket's error queue that are taken at a time: more than a socket's buffer holds. */
const QUEUE_BUDGET = 1024
/** Payload that the longest quotation can hold (RFC 4443, section 2.4 (c)). */
const QUOTE_LIMIT = 1280

/**
 * Tells the guest as ICMP errors what happened to its datagrams beyond us: what the host's error queue holds, and what
 * the host answered to a call. The packet quoted is the guest's own, with the addresses and ports that it wrote.
 */
export class ErrorRelay {
  readonly #components: Components
  readonly #arena: Arena
  readonly #host: Host
  readonly #reasons: UdpReasons
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
  /** MTU that the host named last, in refusing a datagram as too large; 0 if it didn't. */
  #hostMtu = 0

  constructor(components: Components, reasons: UdpReasons) {
    this.#components = components
    this.#arena = components.arena
    this.#host = components.host
    this.#reasons = reasons
    this.#icmp = new IcmpErrors(components.arena, components.guest)
    this.#quote = components.arena.reserve(UDP_HEADER_LENGTH + QUOTE_LIMIT)
  }

  /** Relays what a flow's error queue holds. */
  drain(flow: UdpFlow): void {
    this.#hostMtu = 0
    for (let taken = 0; taken < QUEUE_BUDGET; taken++) {
      if (this.#host.receiveError(flow.socket, this.#entry) <= 0) return
      this.#relay(flow, this.#entry)
    }
  }

  /**
   * Tells the guest that the host refused a datagram of its.
   *
   * @param tap side that the datagram came on
   * @param errno positive
   * @param payloadOffset of the payload in the arena
   */
  refuse(tap: Demiflow, errno: number, payloadOffset: number, payloadLength: number): void {
    const isTooBig = errno === Errno.EMSGSIZE
    if (isTooBig && this.#hostMtu === 0) return
    const form = isTooBig ? tooBigForm(tap.isV4) : icmpForm(errno, tap.isV4)
    if (form === NO_FORM || !this.#budget.take(this.#components.clock.now)) return
    const information = isTooBig ? this.#hostMtu : 0
    this.#send(tap, form, information, tap.forwardingAddress, payloadOffset, payloadLength, payloadLength)
  }

  #relay(flow: UdpFlow, entry: SocketError): void {
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
    // Routers quote only the start of a long datagram, and its length is lost: that of the last one sent is likely.
    const original = Math.max(entry.payloadLength, flow.lastLength)
    this.#send(tap, form, information, reporter, entry.payloadOffset, entry.payloadLength, original)
  }

  /** Sends an error about the datagram with this payload, `known` bytes of which are in the arena. */
  #send(
    tap: Demiflow,
    form: number,
    information: number,
    reporter: Readonly<Address>,
    payloadOffset: number,
    known: number,
    original: number,
  ): void {
    const quoted = Math.min(known, QUOTE_LIMIT)
    this.#writeQuote(tap, payloadOffset, quoted, original)
    this.#icmp.send(
      tap,
      form >> 8,
      form & 0xff,
      information,
      reporter,
      IpProtocol.udp,
      this.#quote,
      UDP_HEADER_LENGTH + quoted,
      UDP_HEADER_LENGTH + original,
    )
  }

  /** Who reported it, as the guest knows it. */
  #reporterOf(flow: UdpFlow, tap: Demiflow, entry: SocketError): Readonly<Address> {
    const reporter = this.#reporter.copyFrom(entry.reporter)
    if (reporter.isUnspecified || reporter.isV4 !== tap.isV4) return tap.forwardingAddress
    this.#components.flows.readSide(flow.hostSide, this.#hostSide)
    // The correspondent itself is known to the guest under the address that the guest wrote to, whatever stands for it.
    if (reporter.equals(this.#hostSide.correspondentAddress)) return tap.forwardingAddress
    this.#components.forwarding.translateToGuest(reporter)
    // The host may have the guest's address, and nobody takes a packet from the address that he has himself.
    return reporter.equals(tap.correspondentAddress) ? tap.forwardingAddress : reporter
  }

  /** Puts the guest's header before what is known of its payload. */
  #writeQuote(tap: Demiflow, payloadOffset: number, known: number, original: number): void {
    const view = this.#arena.view
    const length = UDP_HEADER_LENGTH + original
    view.setUint16(this.#quote + UDP_SOURCE_PORT, tap.correspondentPort)
    view.setUint16(this.#quote + UDP_TARGET_PORT, tap.forwardingPort)
    view.setUint16(this.#quote + UDP_LENGTH, length)
    view.setUint16(this.#quote + UDP_CHECKSUM, 0)
    this.#arena.copy(payloadOffset, this.#quote + UDP_HEADER_LENGTH, known)
    if (known < original) return
    const sum = addSums(sumPseudoHeader(tap, IpProtocol.udp, length), this.#arena.sum(this.#quote, length, 0))
    view.setUint16(this.#quote + UDP_CHECKSUM, finishUdpChecksum(sum))
  }
}

/** The four bytes behind an error's checksum: an MTU, or the place of a problem. */
function informationOf(entry: SocketError, isV4: boolean): number {
  if (!isV4) return entry.icmpType === Icmpv6Type.packetTooBig ? entry.information : 0
  const isMtu =
    entry.icmpType === IcmpType.destinationUnreachable && entry.icmpCode === IcmpUnreachable.fragmentationNeeded
  return isMtu ? entry.information & 0xffff : 0
}
