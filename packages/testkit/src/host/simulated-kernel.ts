import type { SideRef } from "@demiflow/core"
import type { SeededRandom } from "../seeded-random.ts"
import type { VirtualClock } from "../virtual-clock.ts"
import type { Listening } from "./listening.ts"
import type { Network } from "./network.ts"
import type { SocketFaults } from "./socket-faults.ts"

/** The properties of a socket that decide whether and where its events are reported. */
export interface ReportedSocket {
  readonly isOpen: boolean
  /** True if its events are reported. */
  readonly isWatched: boolean
  /** True while it waits in the list of sockets to report. */
  isListed: boolean
  /** The side for which its events are reported. */
  readonly side: SideRef
  /** Present on a listening socket: its events are reported for the listener. */
  readonly listening: Listening | undefined
  /** The current events, in bits of `SocketEvent`. */
  readiness(): number
}

/**
 * State that the simulated sockets share: time, random numbers, pending events, and the list of sockets with events to
 * report.
 */
export class SimulatedKernel {
  readonly clock: VirtualClock
  readonly random: SeededRandom
  readonly faults: SocketFaults
  readonly network: Network
  #listed: ReportedSocket[] = []

  constructor(clock: VirtualClock, random: SeededRandom, faults: SocketFaults, network: Network) {
    this.clock = clock
    this.random = random
    this.faults = faults
    this.network = network
  }

  /** True if sockets wait to be reported. */
  get hasListed(): boolean {
    return this.#listed.length > 0
  }

  /** Lists a socket whose state changed: it is reported the next time events are polled, if it is ready then. */
  list(socket: ReportedSocket): void {
    if (socket.isListed || !socket.isOpen || !socket.isWatched) return
    if (this.random.chance(this.faults.lateEvent)) {
      this.clock.schedule(this.random.between(1, this.faults.lateness), () => this.#listNow(socket))
    } else this.#listNow(socket)
  }

  /** As {@link SimulatedKernel.list}, after a while. */
  listLater(socket: ReportedSocket, delay: number): void {
    if (socket.isWatched) this.clock.schedule(delay, () => this.#listNow(socket))
  }

  /** Takes the list. */
  takeListed(): readonly ReportedSocket[] {
    const listed = this.#listed
    this.#listed = []
    for (const socket of listed) socket.isListed = false
    return listed
  }

  #listNow(socket: ReportedSocket): void {
    if (socket.isListed || !socket.isOpen) return
    socket.isListed = true
    this.#listed.push(socket)
  }
}
