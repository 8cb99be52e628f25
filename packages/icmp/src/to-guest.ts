import {
  type Arena,
  CHECKSUM_DONE,
  type Components,
  DatagramBatch,
  Demiflow,
  Errno,
  finishChecksum,
  ICMP_CHECKSUM,
  ICMP_CODE,
  ICMP_HEADER_LENGTH,
  ICMP_IDENTIFIER,
  ICMP_TYPE,
  IcmpType,
  Icmpv6Type,
  IpProtocol,
  WaitingList,
} from "@demiflow/core"
import type { ErrorRelay } from "./error-relay.ts"
import type { IcmpReasons } from "./reasons.ts"
import type { EchoFlow } from "./state.ts"

/** Largest message that an IPv4 packet holds, and room for each that is received. */
const LARGEST_MESSAGE = 65_515
/** Entries of a receiving call: one more than the single reply that most requests get. */
const BURST = 2
/** Replies that one flow may pass on before others have their turn. */
const BUDGET = 32
/** Errors pending on a socket that a turn gets over: each call that meets one clears it. */
const BUDGET_ERRORS = 8
/** Milliseconds until the link is asked again for room. */
const ROOM_PAUSE = 1

/**
 * Receives echo replies, straight behind room for the IP header towards the guest, and gives them the guest's identifier.
 * A flow that has used up its budget, or finds the guest congested or no room towards it, waits.
 */
export class ToGuest {
  readonly #components: Components
  readonly #arena: Arena
  readonly #reasons: IcmpReasons
  readonly #errors: ErrorRelay
  readonly #tap = new Demiflow()
  readonly #batch = new DatagramBatch(BURST)
  readonly #ends: readonly Demiflow[] = Array.from({ length: BURST }, () => new Demiflow())
  readonly #hostSide = new Demiflow()
  readonly #waiting: WaitingList<EchoFlow>

  constructor(components: Components, reasons: IcmpReasons, errors: ErrorRelay) {
    this.#components = components
    this.#arena = components.arena
    this.#reasons = reasons
    this.#errors = errors
    this.#waiting = new WaitingList(components, (flow) => {
      // It may have ended since, and its object may even serve another flow, whose socket can be asked as well.
      if (flow.socket >= 0) this.drain(flow)
    })
  }

  /** Passes on what waits in a flow's socket, within its budget. */
  drain(flow: EchoFlow): void {
    const { clock, flows, guest, host } = this.#components
    const batch = this.#batch
    flows.readSide(flow.tapSide, this.#tap)
    flows.readSide(flow.hostSide, this.#hostSide)
    let errors = 0
    for (let passed = 0; passed < BUDGET && !guest.isCongested; passed += BURST) {
      const asked = this.#reserve()
      if (asked === 0) {
        this.#waiting.wait(flow, clock.now + ROOM_PAUSE)
        return
      }
      const start = batch.offset[0]
      const received = host.receiveFromAnyone(flow.socket, batch, this.#ends, asked)
      if (received <= 0) {
        guest.abandon(start)
        if (received === 0 || received === -Errno.EAGAIN) return
        this.#errors.drain(flow)
        if (++errors === BUDGET_ERRORS) break
        continue
      }
      if (received < asked) guest.abandon(batch.offset[received])
      let unfit = -1
      for (let index = 0; index < received; index++) {
        const isPassed = this.#isFromCorrespondent(index) && this.#pass(index)
        if (isPassed) flow.lastActivity = clock.now
        else if (unfit < 0) unfit = batch.offset[index]
      }
      if (unfit >= 0) guest.abandon(unfit)
      if (received < asked) return
    }
    this.#waiting.wait(flow, clock.now)
  }

  /** Carries on with the flows that wait. */
  carryOn(): void {
    this.#waiting.carryOn()
  }

  /** Begins packets to receive into; answers how many there was room for. */
  #reserve(): number {
    const guest = this.#components.guest
    const batch = this.#batch
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

  /**
   * True if the flow's correspondent has sent entry `index`, or the request went to a group. The kernel goes by the identifier alone: a
   * reply of anybody else would make a dead correspondent seem alive.
   */
  #isFromCorrespondent(index: number): boolean {
    const { correspondentAddress } = this.#hostSide
    if (correspondentAddress.isMulticast || this.#ends[index].correspondentAddress.equals(correspondentAddress))
      return true
    this.#components.drops.count(this.#reasons.stranger)
    return false
  }

  /** Finishes a reply in its packet. False if it is none, or too large. */
  #pass(index: number): boolean {
    const { drops, guest } = this.#components
    const offset = this.#batch.offset[index]
    const length = this.#batch.length[index]
    const view = this.#arena.view
    const isV4 = this.#tap.isV4
    if (!this.#isReply(offset, length, isV4)) {
      drops.count(this.#reasons.badReply)
      return false
    }
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
