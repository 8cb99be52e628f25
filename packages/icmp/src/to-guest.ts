import {
  type Arena,
  CHECKSUM_DONE,
  type Components,
  DatagramBatch,
  Demiflow,
  Errno,
  finishChecksum,
  flowOf,
  ICMP_CHECKSUM,
  ICMP_CODE,
  ICMP_HEADER_LENGTH,
  ICMP_IDENTIFIER,
  ICMP_TYPE,
  IcmpType,
  Icmpv6Type,
  Interface,
  IpProtocol,
  initiatingSide,
  type SideRef,
} from "@demiflow/core"
import { type GuestPort, WaitingList } from "@demiflow/protocol-kit"
import type { EchoErrorRelay } from "./echo-error-relay.ts"
import type { Identifiers } from "./identifiers.ts"
import type { IcmpReasons } from "./reasons.ts"

/** Largest message that an IPv4 packet holds, and the space reserved for each that is received. */
const LARGEST_MESSAGE = 65_515
/** Entries of a receive call: one more than the single reply that most requests get. */
const BURST = 2
/** Replies that one identifier may deliver before the others have their turn. */
const BUDGET = 32
/** Maximum number of errors pending on a socket that a turn handles: each receive call that returns one clears it. */
const BUDGET_ERRORS = 8
/** Milliseconds until space towards the link is requested again. */
const ROOM_PAUSE = 1

/**
 * Receives echo replies right behind space for the IP header towards the guest, and gives them the guest's identifier.
 * The flow of a reply is known only once it was received. It is mostly the one that was heard last, so the header is
 * written for that flow beforehand, and rewritten if the guess was wrong.
 *
 * An identifier waits once its budget is used up, or while the guest is congested or has no room.
 */
export class ToGuest {
  readonly #components: Components
  readonly #arena: Arena
  readonly #reasons: IcmpReasons
  readonly #errors: EchoErrorRelay
  readonly #identifiers: Identifiers
  /** The side that the open packets are for. */
  readonly #tap = new Demiflow()
  readonly #batch = new DatagramBatch(BURST)
  readonly #ends: readonly Demiflow[] = Array.from({ length: BURST }, () => new Demiflow(Interface.host))
  /** Identifiers with more to deliver. */
  readonly waiting: WaitingList<GuestPort>

  constructor(components: Components, reasons: IcmpReasons, errors: EchoErrorRelay, identifiers: Identifiers) {
    this.#components = components
    this.#arena = components.arena
    this.#reasons = reasons
    this.#errors = errors
    this.#identifiers = identifiers
    this.waiting = new WaitingList(components, (port) => this.drain(port))
  }

  /** Delivers what an identifier's socket holds, within its budget. The socket may be closed by now. */
  drain(port: GuestPort): void {
    const { clock, guest, sockets } = this.#components
    const batch = this.#batch
    let errors = 0
    for (let passed = 0; passed < BUDGET && !guest.isCongested; passed += BURST) {
      if (port.socket < 0) return
      const asked = this.#reserve(port)
      if (asked === 0) {
        this.waiting.wait(port, clock.now + ROOM_PAUSE)
        return
      }
      const start = batch.offset[0]
      const received = sockets.receiveFromAnyone(port.socket, batch, this.#ends, asked)
      if (received <= 0) {
        guest.abandon(start)
        if (received === 0 || received === -Errno.EAGAIN) return
        this.#errors.drainPort(port)
        if (++errors === BUDGET_ERRORS) break
        continue
      }
      if (received < asked) guest.abandon(batch.offset[received])
      this.#passAll(port, received)
      if (received < asked) return
    }
    this.waiting.wait(port, clock.now)
  }

  /** Begins packets to receive into. Returns how many there was room for. */
  #reserve(port: GuestPort): number {
    const { flows, guest } = this.#components
    const batch = this.#batch
    const likely = likelySide(port)
    if (likely >= 0) flows.readSide(likely, this.#tap)
    const protocol = this.#tap.isV4 ? IpProtocol.icmp : IpProtocol.icmpv6
    for (let count = 0; count < BURST; count++) {
      if (count === 0 && !guest.hasRoom(LARGEST_MESSAGE)) guest.flush()
      if (!guest.hasRoom(LARGEST_MESSAGE)) return count
      const offset = guest.begin(this.#tap, protocol, LARGEST_MESSAGE)
      batch.offset[count] = offset
      batch.length[count] = LARGEST_MESSAGE
    }
    return BURST
  }

  #passAll(port: GuestPort, received: number): void {
    const { clock, drops, flows, guest } = this.#components
    const { offset, scope } = this.#batch
    const begunFor = likelySide(port)
    let unfit = -1
    for (let index = 0; index < received; index++) {
      const flow = this.#identifiers.flowWith(port, this.#ends[index])
      // A reply from an address that wasn't asked would make a dead correspondent seem alive. The kernel compares the
      // identifier alone. Requests leave by one link: the same address on another link is another node (RFC 4007,
      // section 6).
      // RFC 4007 6 MUST: the same address on another link is another node
      if (flow === undefined || scope[index] !== 0) drops.count(this.#reasons.stranger)
      else {
        flows.readSide(flow.tapSide, this.#tap)
        // The flow of an identifier that was closed is no guess: this identifier isn't notified when it ends.
        if (flow.port === port) port.heardLast = flow.tapSide
        if (this.#pass(index, flow.tapSide !== begunFor)) {
          flow.lastActivity = clock.now
          if (flow.packetsToGuest++ === 0) this.#components.reports.changed(flow.flow, "answered")
          flow.bytesToGuest += this.#batch.length[index] - ICMP_HEADER_LENGTH
          continue
        }
      }
      if (unfit < 0) unfit = offset[index]
    }
    if (unfit >= 0) guest.abandon(unfit)
  }

  /**
   * Finishes a reply in its packet, which may have begun for another flow. Returns false for no reply, or one too
   * large.
   */
  #pass(index: number, isOther: boolean): boolean {
    const { drops, guest } = this.#components
    const offset = this.#batch.offset[index]
    const length = this.#batch.length[index]
    const view = this.#arena.view
    const isV4 = this.#tap.isV4
    if (!this.#isReply(offset, length, isV4)) {
      drops.count(this.#reasons.badReply)
      return false
    }
    if (isOther) guest.redirect(offset, this.#tap, isV4 ? IpProtocol.icmp : IpProtocol.icmpv6)
    // RFC 5508 REQ-1 (reply) MUST: a reply gets the identifier of the guest back, and its checksum follows
    // RFC 1122 3.2.2.6 MUST: the data of a request comes back whole in the reply
    // RFC 4443 4.2 MUST: so do identifier, sequence number and data over IPv6
    view.setUint16(offset + ICMP_IDENTIFIER, this.#tap.correspondentPort)
    view.setUint16(offset + ICMP_CHECKSUM, 0)
    if (isV4) {
      // No pseudo-header (RFC 792): `Guest.end` would include one.
      view.setUint16(offset + ICMP_CHECKSUM, finishChecksum(this.#arena.sum(offset, length, 0)))
      guest.end(offset, length, CHECKSUM_DONE, 0, 0, this.#batch.trafficClass[index])
    } else guest.end(offset, length, ICMP_CHECKSUM, 0, 0, this.#batch.trafficClass[index])
    return true
  }

  #isReply(offset: number, length: number, isV4: boolean): boolean {
    if (length < ICMP_HEADER_LENGTH || length > LARGEST_MESSAGE) return false
    const view = this.#arena.view
    const type = isV4 ? IcmpType.echoReply : Icmpv6Type.echoReply
    return view.getUint8(offset + ICMP_TYPE) === type && view.getUint8(offset + ICMP_CODE) === 0
  }
}

/** Guesses the guest-facing side of the flow that the next reply belongs to. Negative: no flow has the identifier. */
function likelySide({ heardLast, owner }: GuestPort): SideRef {
  if (heardLast >= 0 || owner === undefined) return heardLast
  return initiatingSide(flowOf(owner.portSide))
}
