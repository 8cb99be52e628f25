import {
  type Components,
  DatagramBatch,
  Demiflow,
  Errno,
  type FlowIndex,
  FORWARD,
  flowOf,
  Interface,
  IpProtocol,
} from "@demiflow/core"
import type { Beginnings } from "./beginnings.ts"
import { LARGEST_PAYLOAD } from "./leaving-together.ts"
import { ListeningPort } from "./listening-ports.ts"
import type { SplicedFlow } from "./local/spliced-flow.ts"
import type { Splicing } from "./local/splicing.ts"
import type { UdpReasons } from "./reasons.ts"
import { type Source, UdpFlow, type UdpFlows } from "./state.ts"
import type { ToGuest } from "./to-guest.ts"
import { BUDGET_ERRORS } from "./turn-budget.ts"
import type { WaitingPlace } from "./waiting-sources.ts"

/** Entries of a receiving call. What a flow begins with is mostly one datagram. */
const BURST = 8
/** What one socket may pass on before others have their turn. Each datagram may open a socket. */
const BUDGET = 64

/**
 * Receives from sockets that hear anybody: listening ones, and those of new flows until they are empty for the first time.
 * Each datagram goes to the flow of its sender, which begins with it if there is none: between host and tap or, where the policy
 * says so, from socket to socket.
 *
 * Where a datagram goes is known only once it is there, so that it is received into space apart. It is sent from there, or copied
 * into its packet. Later datagrams of the same sender arrive at its flow's own socket.
 */
export class FromAnyone {
  readonly #components: Components
  readonly #reasons: UdpReasons
  readonly #states: UdpFlows
  readonly #beginnings: Beginnings
  readonly #toGuest: ToGuest
  readonly #splicing: Splicing | undefined
  readonly #waiting: WaitingPlace<Source>
  readonly #batch = new DatagramBatch(BURST)
  readonly #ends: readonly Demiflow[] = Array.from({ length: BURST }, () => new Demiflow(Interface.host))
  readonly #target = new Demiflow()
  readonly #space: number

  constructor(
    components: Components,
    reasons: UdpReasons,
    states: UdpFlows,
    beginnings: Beginnings,
    toGuest: ToGuest,
    splicing: Splicing | undefined,
    waiting: WaitingPlace<Source>,
  ) {
    this.#components = components
    this.#reasons = reasons
    this.#states = states
    this.#beginnings = beginnings
    this.#toGuest = toGuest
    this.#splicing = splicing
    this.#waiting = waiting
    this.#space = components.arena.reserve(BURST * LARGEST_PAYLOAD)
  }

  /** Passes on what waits, within its budget. */
  drain(source: Source): void {
    const { clock, guest } = this.#components
    let errors = 0
    for (let passed = 0; passed < BUDGET && !(source.needsGuest && guest.isCongested); passed += BURST) {
      // A flow that begins may take the socket of an unanswered one, this one for instance.
      const port = source instanceof ListeningPort ? source : source.sharedWith
      if (port === undefined || source.socket < 0) return
      this.#prepare()
      const received = port.host.receiveFromAnyone(source.socket, this.#batch, this.#ends, BURST)
      if (received > 0) {
        let hasBegun = false
        for (let index = 0; index < received; index++) hasBegun = this.#pass(port, index) || hasBegun
        // What came before a new flow's socket was connected is here, and goes before what comes there.
        if (received < BURST && source === port && !hasBegun) return
      } else if (received === 0 || received === -Errno.EAGAIN) {
        // From now on it hears its correspondent only.
        if (!(source instanceof ListeningPort)) source.sharedWith = undefined
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

  /** True if a flow began. */
  #pass(port: ListeningPort, index: number): boolean {
    const { drops, flows } = this.#components
    const { offset, length, segmentSize, trafficClass } = this.#batch
    const initiating = this.#ends[index]
    initiating.interface = port.listener.interface
    if (initiating.correspondentPort === 0) {
      drops.count(this.#reasons.portZero)
      return false
    }
    const side = flows.lookup(IpProtocol.udp, initiating)
    if (side < 0 && this.#beginnings.groupSenders.have(initiating)) {
      drops.count(this.#reasons.ownGroup)
      return false
    }
    const flow = side < 0 ? this.#begin(port, initiating) : this.#find(flowOf(side))
    if (flow === undefined) return false
    if (flow instanceof UdpFlow) {
      this.#toGuest.copy(flow, offset[index], length[index], segmentSize[index], trafficClass[index])
    } else this.#splicing?.relay.pass(flow.initiating, offset[index], length[index], segmentSize[index])
    return side < 0
  }

  #find(flow: FlowIndex): UdpFlow | SplicedFlow | undefined {
    return this.#states.get(flow) ?? this.#splicing?.get(flow)
  }

  /** Begins the flow that the policy says. If there can be none, a datagram is counted as dropped. */
  #begin(port: ListeningPort, initiating: Demiflow): UdpFlow | SplicedFlow | undefined {
    const { drops, forwarding, guest } = this.#components
    const target = this.#target
    const verdict = forwarding.targetAtGuest(port.listener, initiating, guest, target)
    if (verdict !== FORWARD) {
      drops.count(verdict)
      return undefined
    }
    if (target.interface === Interface.tap) return this.#beginnings.fromHost(port, initiating, target)
    if (this.#splicing !== undefined) return this.#splicing.begin(port, initiating, target)
    drops.count(this.#reasons.openFailed)
    return undefined
  }
}
