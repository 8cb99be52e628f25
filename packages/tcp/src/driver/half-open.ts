import type { Components } from "@demiflow/core"
import { FAIR_TIME, type Listed, UseList } from "@demiflow/protocol-kit"
import { CROWDS, Crowds } from "./crowds.ts"
import type { Beginning, TcpConnection } from "./tcp-connection.ts"

/** Maximum number of connections of a kind that may be half open, however many sockets there are. */
const MOST = 4_096
/** They may have this part of the sockets, and of the flows; but at least this many. */
const PART = 8
const LEAST = 16
/** Connections that may give way in a turn: each costs a close, and the next one a connect() of the host. */
const TURN_BUDGET = 16
/** Number at which unanswered connections, or waiting ones, count as many; but at most this part of all. */
const MANY = 256
const MANY_PART = 4
/** Maximum number of connections that may wait for a socket while many are unanswered. */
const MOST_WAITING = 512

/** The state of a half-open connection. A separate object, as few connections are half open at a time. */
class HalfOpenPlace implements Beginning, Listed<HalfOpenPlace> {
  readonly #list: HalfOpen
  connection: TcpConnection
  /** The crowd that the connection belongs to. */
  crowd = 0
  isWaitingForSocket = false
  /** When the handshake began, clock milliseconds: what follows is no reason to give way later. */
  lastActivity = 0
  list: UseList<HalfOpenPlace> | undefined = undefined
  listedAt = 0
  older: HalfOpenPlace | undefined = undefined
  newer: HalfOpenPlace | undefined = undefined
  /** Neighbours within the crowd: a place is in two lists at once, and a `UseList` allows one. */
  olderAlike: HalfOpenPlace | undefined = undefined
  newerAlike: HalfOpenPlace | undefined = undefined

  constructor(list: HalfOpen, connection: TcpConnection) {
    this.#list = list
    this.connection = connection
  }

  finish(): void {
    this.#list.remove(this)
  }
}

/**
 * Connections whose handshake isn't finished, in the order in which they began. Each costs the beginner one segment,
 * and the host a socket for as long as nobody answers. So there is a limit, for all and for each crowd, at which the
 * oldest one gives way (RFC 4987, section 3.2).
 */
export class HalfOpen {
  /** Number of crowds that are distinguished, a power of two. */
  readonly crowds: number
  readonly #end: (connection: TcpConnection) => void
  readonly #all: Crowds
  readonly #waiting: Crowds
  readonly #many: number
  readonly #places = new UseList<HalfOpenPlace>()
  /** By crowd. */
  readonly #oldestAlike: (HalfOpenPlace | undefined)[]
  readonly #newestAlike: (HalfOpenPlace | undefined)[]
  /** The oldest of those that wait for a socket, which are the newest ones of all. */
  #firstWaiting: HalfOpenPlace | undefined
  /** Places without a connection, linked by `newer`. */
  #spare: HalfOpenPlace | undefined
  #ended = 0

  /**
   * @param most connections at once
   * @param end ends a connection that gives way
   */
  constructor(most: number, end: (connection: TcpConnection) => void) {
    // As few as suffice to keep most crowds apart: many small stacks may share a process.
    this.crowds = Math.min(CROWDS, 2 ** Math.ceil(Math.log2(2 * most)))
    this.#all = new Crowds(most, this.crowds)
    this.#waiting = new Crowds(MOST_WAITING, this.crowds)
    this.#oldestAlike = Array.from({ length: this.crowds }, () => undefined)
    this.#newestAlike = Array.from({ length: this.crowds }, () => undefined)
    this.#many = Math.min(MANY, most / MANY_PART)
    this.#end = end
  }

  /** True if the crowd has as many connections as it may. */
  isFull(crowd: number): boolean {
    return this.#all.isFull(crowd)
  }

  /** True while many are unanswered: somebody may be flooding addresses where nobody answers. */
  get isBusy(): boolean {
    return this.#all.count - this.#waiting.count >= this.#many
  }

  /**
   * True while many are unanswered, or many wait, as they do where each is refused or answered at once: sockets are
   * opened at the slower pace.
   */
  get isFlooded(): boolean {
    return this.isBusy || this.#waiting.count >= this.#many
  }

  /** True while a connection waits for a socket. */
  get hasWaiting(): boolean {
    return this.#firstWaiting !== undefined
  }

  /**
   * True if no more of the crowd may wait for a socket. One always may, however many of other crowds do: those may have
   * begun to wait while there was no limit.
   */
  isQueueFull(crowd: number): boolean {
    if (!this.isBusy || !this.#waiting.isFull(crowd)) return false
    return this.#waiting.of(crowd) > 0 || this.#all.isFull(crowd)
  }

  /**
   * Adds a connection whose handshake begins as soon as there is a socket for it: see {@link HalfOpen.takeWaiting}.
   *
   * @param now clock milliseconds
   */
  addWaiting(connection: TcpConnection, crowd: number, now: number): void {
    const place = this.add(connection, crowd, now)
    this.#waiting.add(crowd)
    place.isWaitingForSocket = true
    this.#firstWaiting ??= place
  }

  /** Returns the connection that has waited longest for a socket, and ends its wait. */
  takeWaiting(): TcpConnection | undefined {
    const place = this.#firstWaiting
    if (place === undefined) return undefined
    this.#waitsNoLonger(place)
    return place.connection
  }

  /**
   * Adds a connection whose handshake begins.
   *
   * @param crowd the crowd that it belongs to
   * @param now clock milliseconds
   */
  add(connection: TcpConnection, crowd: number, now: number): HalfOpenPlace {
    const place = this.#takePlace(connection)
    connection.beginning = place
    place.crowd = crowd
    place.lastActivity = now
    this.#places.add(place)
    this.#addAlike(place)
    this.#all.add(crowd)
    return place
  }

  /** Removes a connection whose handshake is finished, or that has ended. */
  remove(place: HalfOpenPlace): void {
    if (place.isWaitingForSocket) this.#waitsNoLonger(place)
    this.#places.remove(place)
    this.#removeAlike(place)
    this.#all.remove(place.crowd)
    place.connection.beginning = undefined
    place.newer = this.#spare
    this.#spare = place
  }

  /** True if enough connections have given way in this turn. */
  get hasGivenWay(): boolean {
    return this.#ended >= TURN_BUDGET
  }

  /**
   * Ends the oldest connection, if it has had a fair time ({@link FAIR_TIME}). Returns false if there is none, or
   * enough have given way in this turn.
   *
   * @param crowd the crowd that needs a place: its own oldest connection ends if the crowd has more than that of the
   *   oldest one
   */
  giveWay(now: number, crowd?: number): boolean {
    const oldest = crowd === undefined ? this.#places.oldest : this.#oldestFor(crowd)
    if (oldest === undefined || now - oldest.lastActivity < FAIR_TIME || this.hasGivenWay) return false
    this.#ended++
    this.#end(oldest.connection)
    return true
  }

  endTurn(): void {
    this.#ended = 0
  }

  /** Returns the one that ends for one more of a crowd. There always is one, so that other crowds shut no crowd out. */
  #oldestFor(crowd: number): HalfOpenPlace | undefined {
    const { oldest } = this.#places
    const isLarger = oldest !== undefined && this.#all.of(crowd) > this.#all.of(oldest.crowd)
    return isLarger ? this.#oldestAlike[crowd] : oldest
  }

  #addAlike(place: HalfOpenPlace): void {
    const { crowd } = place
    const older = this.#newestAlike[crowd]
    place.olderAlike = older
    if (older === undefined) this.#oldestAlike[crowd] = place
    else older.newerAlike = place
    this.#newestAlike[crowd] = place
  }

  #removeAlike(place: HalfOpenPlace): void {
    const { crowd, olderAlike, newerAlike } = place
    if (olderAlike === undefined) this.#oldestAlike[crowd] = newerAlike
    else olderAlike.newerAlike = newerAlike
    if (newerAlike === undefined) this.#newestAlike[crowd] = olderAlike
    else newerAlike.olderAlike = olderAlike
    place.olderAlike = place.newerAlike = undefined
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

/** Returns how many connections may be half open: of those that the guest begins, and as many of the others. */
export function mostHalfOpen({ flows, sockets }: Pick<Components, "flows" | "sockets">): number {
  const part = Math.min(flows.capacity, sockets.mostSockets ?? Number.POSITIVE_INFINITY) / PART
  return Math.max(LEAST, Math.min(MOST, Math.floor(part)))
}
