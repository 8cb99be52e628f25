import { type Components, FAIR_TIME } from "@demiflow/core"
import type { TcpConnection } from "./connection.ts"
import { Crowds } from "./crowds.ts"
import { HalfOpenPlace } from "./half-open-place.ts"
import { State } from "./state.ts"

/** Connections of a kind that may be half open at once, however many sockets there are. */
const MOST = 4_096
/** Which part of the sockets, and of the flows, they may have; but this many in any case. */
const PART = 8
const LEAST = 16
/** Connections that give way in a turn: each costs a close, and the next one a connect() of the host. */
const TURN_BUDGET = 16
/** Connections among which one of a crowd is searched. */
const SEARCH = 64
/** From this number on, unanswered connections are many, and so are those that wait for a socket; but at most this part of all. */
const MANY = 256
const MANY_PART = 4
/** Connections that may wait for a socket while there are many. */
const MOST_WAITING = 512

/**
 * Connections whose handshake isn't finished, in the order of their beginning. They cost their beginner one segment, and the host a
 * socket for as long as nobody answers. So there is a limit, for all and for each crowd of them, at which the oldest one gives way
 * (RFC 4987, section 3.2).
 */
export class HalfOpen {
  readonly #end: (connection: TcpConnection) => void
  readonly #all: Crowds
  readonly #waiting = new Crowds(MOST_WAITING)
  readonly #many: number
  #oldest: HalfOpenPlace | undefined
  #newest: HalfOpenPlace | undefined
  /** Of those that wait for a socket, which are the newest ones. */
  #firstWaiting: HalfOpenPlace | undefined
  /** Places without a connection, one behind another. */
  #spare: HalfOpenPlace | undefined
  #ended = 0

  /**
   * @param most connections at once
   * @param end ends one that gives way
   */
  constructor(most: number, end: (connection: TcpConnection) => void) {
    this.#all = new Crowds(most)
    this.#many = Math.min(MANY, most / MANY_PART)
    this.#end = end
  }

  /** True if the crowd has as many as it may. */
  isFull(crowd: number): boolean {
    return this.#all.isFull(crowd)
  }

  /** True while many are unanswered: somebody seems to begin connections to nobody. */
  get isBusy(): boolean {
    return this.#all.count - this.#waiting.count >= this.#many
  }

  /**
   * True while many are unanswered, or many wait, as they do where each is refused or answered at once: sockets are to be opened at
   * the slower pace.
   */
  get isFlooded(): boolean {
    return this.isBusy || this.#waiting.count >= this.#many
  }

  /** True while a connection waits for a socket. */
  get hasWaiting(): boolean {
    return this.#firstWaiting !== undefined
  }

  /**
   * True if no more of the crowd may wait for a socket. One may, however many of others do: those may have come while there was no
   * limit.
   */
  isQueueFull(crowd: number): boolean {
    if (!this.isBusy || !this.#waiting.isFull(crowd)) return false
    return this.#waiting.of(crowd) > 0 || this.#all.isFull(crowd)
  }

  /**
   * Notes a connection whose handshake begins as soon as there is a socket for it: see {@link HalfOpen.takeWaiting}.
   *
   * @param now clock milliseconds
   */
  addWaiting(connection: TcpConnection, crowd: number, now: number): void {
    const place = this.add(connection, crowd, now)
    this.#waiting.add(crowd)
    place.isWaitingForSocket = true
    this.#firstWaiting ??= place
  }

  /** The connection that has waited longest for a socket, and no longer waits. */
  takeWaiting(): TcpConnection | undefined {
    const place = this.#firstWaiting
    if (place === undefined) return undefined
    this.#waitsNoLonger(place)
    return place.connection
  }

  /**
   * Notes a connection whose handshake begins.
   *
   * @param crowd the number of what it has in common with others
   * @param now clock milliseconds
   */
  add(connection: TcpConnection, crowd: number, now: number): HalfOpenPlace {
    const place = this.#takePlace(connection)
    connection.halfOpen = place
    place.crowd = crowd
    place.begunAt = now
    place.older = this.#newest
    if (this.#newest === undefined) this.#oldest = place
    else this.#newest.newer = place
    this.#newest = place
    this.#all.add(crowd)
    return place
  }

  /** The handshake is finished, or the connection has ended. */
  remove(place: HalfOpenPlace): void {
    if (place.isWaitingForSocket) this.#waitsNoLonger(place)
    const { older, newer } = place
    if (older === undefined) this.#oldest = newer
    else older.newer = newer
    if (newer === undefined) this.#newest = older
    else newer.older = older
    this.#all.remove(place.crowd)
    place.connection.halfOpen = undefined
    place.older = undefined
    place.newer = this.#spare
    this.#spare = place
  }

  /** True if enough have given way in this turn. */
  get hasGivenWay(): boolean {
    return this.#ended >= TURN_BUDGET
  }

  /**
   * Ends the oldest one, if it had time enough ({@link FAIR_TIME}); false if there is none, or enough have given way in this turn.
   *
   * @param crowd the crowd whose oldest one is to end. If it has none among the oldest of all, the oldest of all ends, unless its
   * crowd has fewer than this one
   */
  giveWay(now: number, crowd?: number): boolean {
    const oldest = crowd === undefined ? this.#oldest : this.#oldestOf(crowd)
    if (oldest === undefined || now - oldest.begunAt < FAIR_TIME || this.hasGivenWay) return false
    this.#ended++
    this.#end(oldest.connection)
    return true
  }

  endTurn(): void {
    this.#ended = 0
  }

  #oldestOf(crowd: number): HalfOpenPlace | undefined {
    let place = this.#oldest
    for (let count = 0; count < SEARCH && place !== undefined; count++) {
      if (place.crowd === crowd) return place
      place = place.newer
    }
    const oldest = this.#oldest
    return oldest !== undefined && this.#all.of(crowd) > this.#all.of(oldest.crowd) ? undefined : oldest
  }

  #takePlace(connection: TcpConnection): HalfOpenPlace {
    const place = this.#spare
    if (place === undefined) return new HalfOpenPlace(this, connection)
    this.#spare = place.newer
    place.newer = undefined
    place.connection = connection
    return place
  }

  #waitsNoLonger(place: HalfOpenPlace): void {
    if (place === this.#firstWaiting) this.#firstWaiting = place.newer
    place.isWaitingForSocket = false
    this.#waiting.remove(place.crowd)
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
