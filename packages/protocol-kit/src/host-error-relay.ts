import {
  Address,
  type Arena,
  type Components,
  Demiflow,
  type DropReason,
  Errno,
  ErrorOrigin,
  emptySocketError,
  IcmpType,
  IcmpUnreachable,
  Icmpv6Type,
  type SideRef,
  type Socket,
  type SocketError,
  type Sockets,
} from "@demiflow/core"
import { IcmpErrors } from "./icmp-error.ts"
import { icmpForm, isRelayed, NO_FORM, tooBigForm } from "./icmp-form.ts"
import { icmpErrorBudget } from "./rate-budget.ts"

/** Entries taken from one socket's error queue at a time. */
const QUEUE_BUDGET = 1024
/** Payload bytes in the longest quotation (RFC 4443, section 2.4 (c)). */
const QUOTE_LIMIT = 1280

/** What a relay of errors needs to know about a flow. */
export interface FlowWithErrors {
  /** The side towards the guest. */
  readonly tapSide: SideRef
  readonly hostSide: SideRef
  /** Bytes of the guest's last packet that its socket took. */
  readonly lastLength: number
}

/**
 * Reports to the guest, as ICMP errors, what happened to its packets beyond us: entries of the flows' socket error
 * queues, and errors that calls to the host returned. For protocols whose packets leave through datagram sockets.
 *
 * The quoted packet is the guest's own, with the addresses and the ports or identifier that it wrote, whichever end
 * began the flow; a protocol builds the quotation in {@link HostErrorRelay.writeQuote}. "Payload" is what its sockets
 * are handed.
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
  /** MTU from the host's last refusal of a packet as too large; 0 if there was none. */
  #hostMtu = 0
  #reportedElsewhere = 0

  /**
   * @param unknownError counted for each error that has no ICMP form
   * @param headerLength bytes before the payload in the guest's packets
   */
  constructor(components: Components, unknownError: DropReason, headerLength: number) {
    this.arena = components.arena
    this.#components = components
    this.#unknownError = unknownError
    this.#headerLength = headerLength
    this.#icmp = new IcmpErrors(components.arena, components.guest)
    this.quoteOffset = components.arena.reserve(headerLength + QUOTE_LIMIT, 64, "reports of errors")
  }

  /** IP protocol number of what the guest sends on a side. */
  protected abstract protocolOn(tap: Demiflow): number

  /**
   * Writes the start of the guest's packet at {@link HostErrorRelay.quoteOffset} and returns its length in bytes.
   *
   * @param flow absent if the payload comes from the guest and the host refused it; else the payload is a router's
   *   quotation
   * @param payloadOffset arena offset of the known part of the payload
   * @param known bytes of that part
   * @param original bytes of the whole payload
   */
  protected abstract writeQuote(
    tap: Demiflow,
    flow: Flow | undefined,
    payloadOffset: number,
    known: number,
    original: number,
  ): number

  /**
   * Entries of the last drained queue that came from others than the host. While there are any, an error that a call
   * returns may be one of these reports, about another packet.
   */
  get reportedElsewhere(): number {
    return this.#reportedElsewhere
  }

  /**
   * Relays the error queue of a flow's own socket. Returns the number of entries reported to the guest. Entries that
   * aren't about the flow's correspondent are counted as unknown.
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
   * Relays the error queue of a socket that several flows share. Returns the number of entries reported to the guest.
   *
   * @param flowOf the flow whose packet caused an error, by the packet's destination; undefined skips the error
   */
  protected drainShared(
    socket: Socket,
    flowOf: (entry: SocketError) => Flow | undefined,
    sockets: Sockets = this.#components.sockets,
  ): number {
    this.#hostMtu = 0
    this.#reportedElsewhere = 0
    let relayed = 0
    for (let taken = 0; taken < QUEUE_BUDGET; taken++) {
      if (sockets.receiveError(socket, this.#entry) <= 0) break
      if (this.#entry.origin !== ErrorOrigin.host) this.#reportedElsewhere++
      if (this.#relay(flowOf, this.#entry)) relayed++
    }
    return relayed
  }

  /**
   * Reports to the guest that the host refused one of its packets. The error's source is the address that the guest
   * wrote to.
   *
   * @param tap side that the packet arrived on
   * @param errno positive
   * @param payloadOffset arena offset of the payload
   */
  refuse(tap: Demiflow, errno: number, payloadOffset: number, payloadLength: number): void {
    // RFC 4787 REQ-13 MUST: a datagram that may not be fragmented, and is too big, is answered with the MTU
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
      // The call that caused the entry, or the next one, returns the same error and has the guest's packet at hand.
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
    // Routers quote only the start of a long packet, and its length is lost: assume that of the last packet sent.
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

  /** The reporter's address, as the guest knows it. */
  #reporterOf(flow: Flow, tap: Demiflow, entry: SocketError): Readonly<Address> {
    const reporter = this.#reporter.copyFrom(entry.reporter)
    if (reporter.isUnspecified || reporter.isV4 !== tap.isV4) return tap.forwardingAddress
    this.#components.flows.readSide(flow.hostSide, this.#hostSide)
    // The guest knows the correspondent itself by the address that it wrote to, even if that is an alias.
    if (reporter.equals(this.#hostSide.correspondentAddress)) return tap.forwardingAddress
    this.#components.forwarding.translateToGuest(reporter)
    // The host may share the guest's address, and nobody accepts a packet from an address of its own.
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
