import type { Components } from "@demiflow/core"
import type { TcpConnection } from "./connection.ts"
import { State } from "./state.ts"

/** Connections of a kind that may be half open at once, however many sockets there are. */
const MOST = 4_096
/** Which part of the sockets, and of the flows, they may have; but this many in any case. */
const PART = 8
const LEAST = 16
/** Time in which both ends usually have answered, milliseconds: a younger connection doesn't give way. */
const FAIR_TIME = 1_000
/** Connections that give way in a turn: each costs a reset, and the next one a connect() of the host. */
const TURN_BUDGET = 16

/**
 * Connections whose handshake isn't finished, in the order of their beginning. They cost their beginner one segment, and the host a
 * socket for as long as nobody answers. So there is a limit, at which the oldest one gives way (RFC 4987, section 3.2).
 */
export class HalfOpen {
  readonly #most: number
  readonly #end: (connection: TcpConnection) => void
  #oldest: TcpConnection | undefined
  #newest: TcpConnection | undefined
  /** Of those that wait for a socket, which are the newest ones. */
  #firstWaiting: TcpConnection | undefined
  #count = 0
  #ended = 0

  /**
   * @param most connections at once
   * @param end ends one that gives way
   */
  constructor(most: number, end: (connection: TcpConnection) => void) {
    this.#most = most
    this.#end = end
  }

  get isFull(): boolean {
    return this.#count >= this.#most
  }

  /** True while a connection waits for a socket. */
  get hasWaiting(): boolean {
    return this.#firstWaiting !== undefined
  }

  /** Notes a connection whose handshake begins as soon as there is a socket for it: see {@link HalfOpen.takeWaiting}. */
  addWaiting(connection: TcpConnection): void {
    this.add(connection)
    this.#firstWaiting ??= connection
  }

  /** The connection that has waited longest for a socket, and no longer waits. */
  takeWaiting(): TcpConnection | undefined {
    const connection = this.#firstWaiting
    this.#firstWaiting = connection?.newerHalfOpen
    return connection
  }

  /** Notes a connection whose handshake begins. */
  add(connection: TcpConnection): void {
    connection.halfOpen = this
    connection.olderHalfOpen = this.#newest
    connection.newerHalfOpen = undefined
    if (this.#newest === undefined) this.#oldest = connection
    else this.#newest.newerHalfOpen = connection
    this.#newest = connection
    this.#count++
  }

  /** The handshake is finished, or the connection has ended. */
  remove(connection: TcpConnection): void {
    const { olderHalfOpen, newerHalfOpen } = connection
    if (connection === this.#firstWaiting) this.#firstWaiting = newerHalfOpen
    if (olderHalfOpen === undefined) this.#oldest = newerHalfOpen
    else olderHalfOpen.newerHalfOpen = newerHalfOpen
    if (newerHalfOpen === undefined) this.#newest = olderHalfOpen
    else newerHalfOpen.olderHalfOpen = olderHalfOpen
    connection.halfOpen = connection.olderHalfOpen = connection.newerHalfOpen = undefined
    this.#count--
  }

  /** Makes sure that one more may begin; false if it may not. */
  makeRoom(now: number): boolean {
    return !this.isFull || this.giveWay(now)
  }

  /** Ends the oldest one, if it had time enough; false if there is none, or enough have given way in this turn. */
  giveWay(now: number): boolean {
    const oldest = this.#oldest
    if (oldest === undefined || now - oldest.begunAt < FAIR_TIME || this.#ended >= TURN_BUDGET) return false
    this.#ended++
    this.#end(oldest)
    return true
  }

  endTurn(): void {
    this.#ended = 0
  }
}

/** True for a state in which a connection isn't finished beginning. */
export function isBeginning(state: number): boolean {
  return state === State.connecting || state === State.synSent || state === State.synReceived
}

/** Connections that may be half open at once: of those that the guest begins, or of the others. */
export function mostHalfOpen({ flows, host }: Pick<Components, "flows" | "host">): number {
  const part = Math.min(flows.capacity, host.mostSockets ?? Number.POSITIVE_INFINITY) / PART
  return Math.max(LEAST, Math.min(MOST, Math.floor(part)))
}
