import {
  type Arena,
  CHECKSUM_DONE,
  type Components,
  DatagramBatch,
  Demiflow,
  Errno,
  finishChecksum,
  flowOf,
  type GuestPort,
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
  WaitingList,
} from "@demiflow/core"
import type { ErrorRelay } from "./error-relay.ts"
import type { Identifiers } from "./identifiers.ts"
import type { IcmpReasons } from "./reasons.ts"

/** Largest message that an IPv4 packet holds, and room for each that is received. */
const LARGEST_MESSAGE = 65_515
/** Entries of a receiving call: one more than the single reply that most requests get. */
const BURST = 2
/** Replies that one identifier may have passed on before others have their turn. */
const BUDGET = 32
/** Errors pending on a socket that a turn gets over: each call that meets one clears it. */
const BUDGET_ERRORS = 8
/** Milliseconds until the link is asked again for room. */
const ROOM_PAUSE = 1

/**
 * Receives echo replies, straight behind room for the IP header towards the guest, and gives them the guest's identifier. Which
 * flow a reply belongs to is known only once it is there: mostly to the one that was heard last, for which the header is
 * written beforehand. Otherwise it is written anew.
 *
 * An identifier that has used up its budget, or finds the guest congested or no room towards it, waits.
 */
export class ToGuest {
  readonly #components: Components
  readonly #arena: Arena
  readonly #reasons: IcmpReasons
  readonly #errors: ErrorRelay
  readonly #identifiers: Identifiers
  /** The side that the open packets are for. */
  readonly #tap = new Demiflow()
  readonly #batch = new DatagramBatch(BURST)
  readonly #ends: readonly Demiflow[] = Array.from({ length: BURST }, () => new Demiflow(Interface.host))
  readonly #waiting: WaitingList<GuestPort>

  constructor(components: Components, reasons: IcmpReasons, errors: ErrorRelay, identifiers: Identifiers) {
    this.#components = components
    this.#arena = components.arena
    this.#reasons = reasons
    this.#errors = errors
    this.#identifiers = identifiers
    this.#waiting = new WaitingList(components, (port) => this.drain(port))
  }

  /** Passes on what waits in an identifier's socket, within its budget. It may be closed by now. */
  drain(port: GuestPort): void {
    const { clock, guest, host } = this.#components
    const batch = this.#batch
    let errors = 0
    for (let passed = 0; passed < BUDGET && !guest.isCongested; passed += BURST) {
      if (port.socket < 0) return
      const asked = this.#reserve(port)
      if (asked === 0) {
        this.#waiting.wait(port, clock.now + ROOM_PAUSE)
        return
      }
      const start = batch.offset[0]
      const received = host.receiveFromAnyone(port.socket, batch, this.#ends, asked)
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
    this.#waiting.wait(port, clock.now)
  }

  /** Carries on with the identifiers that wait. */
  carryOn(): void {
    this.#waiting.carryOn()
  }

  /** Begins packets to receive into; answers how many there was room for. */
  #reserve(port: GuestPort): number {
    const { flows, guest } = this.#components
    const batch = this.#batch
    const likely = likelySide(port)
    if (likely >= 0) flows.readSide(likely, this.#tap)
    const protocol = this.#tap.isV4 ? IpProtocol.icmp : IpProtocol.icmpv6
    for (let count = 0; count < BURST; count++) {
      let offset = guest.begin(this.#tap, protocol, LARGEST_MESSAGE)
      if (offset < 0 && count === 0) {
        guest.flush()
        offset = guest.begin(this.#tap, protocol, LARGEST_MESSAGE)
      }
      if (offset < 0) return count
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
      // A reply of anybody else than those asked would make a dead correspondent seem alive. The kernel compares the identifier
      // alone. Requests leave by one link, and who has an asked address on another is another node (RFC 4007, section 6).
      if (flow === undefined || scope[index] !== 0) drops.count(this.#reasons.stranger)
      else {
        flows.readSide(flow.tapSide, this.#tap)
        // The flow of an identifier that was closed is no guess: its end is not reported to this one.
        if (flow.port === port) port.heardLast = flow.tapSide
        if (this.#pass(index, flow.tapSide !== begunFor)) {
          flow.lastActivity = clock.now
          continue
        }
      }
      if (unfit < 0) unfit = offset[index]
    }
    if (unfit >= 0) guest.abandon(unfit)
  }

  /** Finishes a reply in its packet, which may have begun for another flow. False if it is none, or too large. */
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
    view.setUint16(offset + ICMP_IDENTIFIER, this.#tap.correspondentPort)
    view.setUint16(offset + ICMP_CHECKSUM, 0)
    if (isV4) {
      // No pseudo-header (RFC 792): `Guest.end` would add one.
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

/** The side towards the guest of the flow that the next reply belongs to, as far as that can be guessed; negative: no flow has the port. */
function likelySide({ heardLast, owner }: GuestPort): SideRef {
  if (heardLast >= 0 || owner === undefined) return heardLast
  return initiatingSide(flowOf(owner.portSide))
}
