import {
  type Components,
  DatagramBatch,
  Demiflow,
  Errno,
  flowOf,
  Interface,
  IpProtocol,
  type WaitingList,
} from "@demiflow/core"
import type { Beginnings } from "./beginnings.ts"
import { LARGEST_PAYLOAD } from "./leaving-together.ts"
import type { ListeningPort } from "./listening-ports.ts"
import type { UdpReasons } from "./reasons.ts"
import { type Source, UdpFlow, type UdpFlows } from "./state.ts"
import type { ToGuest } from "./to-guest.ts"

/** Entries of a receiving call. What a flow begins with is mostly one datagram. */
const BURST = 8
/** What one socket may pass on before others have their turn. Each datagram may open a socket. */
const BUDGET = 64
/** Errors pending on a socket that a turn gets over: each call that meets one clears it. */
const BUDGET_ERRORS = 8

/**
 * Receives from sockets that hear anybody: listening ones, and those of new flows until they are empty for the first time.
 * Each datagram goes to the flow of its sender, which begins with it if there is none.
 *
 * Where a datagram goes is known only once it is there, so that it is received into space apart and copied into its
 * packet. Later datagrams of the same sender arrive at its flow's own socket.
 */
export class FromAnyone {
  readonly #components: Components
  readonly #reasons: UdpReasons
  readonly #states: UdpFlows
  readonly #beginnings: Beginnings
  readonly #toGuest: ToGuest
  readonly #waiting: WaitingList<Source>
  readonly #batch = new DatagramBatch(BURST)
  readonly #ends: readonly Demiflow[] = Array.from({ length: BURST }, () => new Demiflow(Interface.host))
  readonly #space: number

  constructor(
    components: Components,
    reasons: UdpReasons,
    states: UdpFlows,
    beginnings: Beginnings,
    toGuest: ToGuest,
    waiting: WaitingList<Source>,
  ) {
    this.#components = components
    this.#reasons = reasons
    this.#states = states
    this.#beginnings = beginnings
    this.#toGuest = toGuest
    this.#waiting = waiting
    this.#space = components.arena.reserve(BURST * LARGEST_PAYLOAD)
  }

  /** Passes on what waits, within its budget. */
  drain(source: Source): void {
    const { clock, guest, host } = this.#components
    let errors = 0
    for (let passed = 0; passed < BUDGET && !guest.isCongested; passed += BURST) {
      // A flow that begins may take the socket of an unanswered one, this one for instance.
      const port = source instanceof UdpFlow ? source.sharedWith : source
      if (port === undefined || source.socket < 0) return
      this.#prepare()
      const received = host.receiveFromAnyone(source.socket, this.#batch, this.#ends, BURST)
      if (received > 0) {
        for (let index = 0; index < received; index++) this.#pass(port, index)
        if (received < BURST && source === port) return
      } else if (received === 0 || received === -Errno.EAGAIN) {
        // From now on it hears its correspondent only.
        if (source instanceof UdpFlow) source.sharedWith = undefined
        return
      } else if (++errors === BUDGET_ERRORS) break
    }
    this.#waiting.wait(source, clock.now)
  }

  #prepare(): void {
    const batch = this.#batch
    for (let index = 0; index < BURST; index++) {
      batch.offset[index] = this.#space + index * LARGEST_PAYLOAD
      batch.length[index] = LARGEST_PAYLOAD
    }
  }

  #pass(port: ListeningPort, index: number): void {
    const { drops, flows } = this.#components
    const { offset, length, segmentSize } = this.#batch
    const hostSide = this.#ends[index]
    if (hostSide.correspondentPort === 0) {
      drops.count(this.#reasons.portZero)
      return
    }
    const side = flows.lookup(IpProtocol.udp, hostSide)
    const flow = side < 0 ? this.#beginnings.fromHost(port, hostSide) : this.#states.get(flowOf(side))
    if (flow !== undefined) this.#toGuest.copy(flow, offset[index], length[index], segmentSize[index])
  }
}
