import {
  type Address,
  type Host,
  type InterfaceId,
  type Listener,
  markSocket,
  NO_MARKS,
  NO_SIDE,
  NO_SOCKET,
  type SideRef,
  type Socket,
} from "@demiflow/core"
import type { WaitingSource } from "./waiting-sources.ts"

/** Addresses of each end that a listening port remembers: those that it was asked at, and led to, last. */
const MOST_ADDRESSES = 16

/** A flow, as one of those that share a port's socket. */
export interface Rider {
  /** The side of the flow that its port's socket carries. */
  readonly portSide: SideRef
  nextRider: Rider | undefined
  previousRider: Rider | undefined
}

/**
 * A port of the host, or inside the namespace, with the one socket that is bound to it: every flow of the port shares it, so
 * that all correspondents see the same port (RFC 4787, REQ-1), and what one of them sends stays in order.
 */
export abstract class Port implements WaitingSource {
  /** Whose the socket is. */
  readonly host: Host
  /** Where that is. */
  readonly interface: InterfaceId
  readonly number: number
  /** {@link NO_SOCKET} once it is closed. */
  socket: Socket
  /** Entries that the next receiving call asks for. */
  burst = 0
  /** The guest's side of the flow that was heard last, which the next datagram is likely to be of. */
  heardLast: SideRef = NO_SIDE
  isWaiting = false
  abstract readonly needsGuest: boolean
  #newest: Rider | undefined
  /** Marks that the socket sends with. */
  #marksV4: number = NO_MARKS
  #marksV6: number = NO_MARKS

  constructor(host: Host, place: InterfaceId, number: number, socket: Socket) {
    this.host = host
    this.interface = place
    this.number = number
    this.socket = socket
  }

  /** True while flows share the socket. */
  get isInUse(): boolean {
    return this.#newest !== undefined
  }

  /** The flow that has shared it for the shortest time. */
  get newest(): Rider | undefined {
    return this.#newest
  }

  /** A flow begins to share the socket. */
  board(rider: Rider): void {
    rider.nextRider = this.#newest
    rider.previousRider = undefined
    if (this.#newest !== undefined) this.#newest.previousRider = rider
    this.#newest = rider
  }

  /** A flow has ended. */
  leave(rider: Rider): void {
    const { nextRider, previousRider } = rider
    if (previousRider === undefined) this.#newest = nextRider
    else previousRider.nextRider = nextRider
    if (nextRider !== undefined) nextRider.previousRider = previousRider
    rider.nextRider = rider.previousRider = undefined
    this.heardLast = NO_SIDE
  }

  /** Marks that the socket sends with, over one version of IP. */
  marksOf(isV4: boolean): number {
    return isV4 ? this.#marksV4 : this.#marksV6
  }

  /** The socket sends with these marks from now on, over one version of IP. */
  mark(isV4: boolean, marks: number): void {
    const before = this.marksOf(isV4)
    if (marks === before) return
    markSocket(this.host, this.socket, isV4, before, marks)
    if (isV4) this.#marksV4 = marks
    else this.#marksV6 = marks
  }

  close(): void {
    this.host.close(this.socket)
    this.socket = NO_SOCKET
  }
}

/** A port that the guest's flows have: its own port's number, where that is free. */
export class GuestPort extends Port {
  /** The address that it is bound to, or the unspecified one. */
  readonly address: Address
  /** Whether it reaches the host's loopback and nothing else. */
  readonly isApart: boolean
  /** The guest's end that it was opened for. */
  readonly guestAddress: Address
  readonly guestPort: number
  /** Whose side hears of the socket's events. */
  #owner: Rider | undefined

  constructor(
    host: Host,
    place: InterfaceId,
    bound: { readonly address: Readonly<Address>; readonly port: number; readonly isApart: boolean },
    socket: Socket,
    guestAddress: Readonly<Address>,
    guestPort: number,
  ) {
    super(host, place, bound.port, socket)
    this.address = bound.address.clone()
    this.isApart = bound.isApart
    this.guestAddress = guestAddress.clone()
    this.guestPort = guestPort
  }

  get needsGuest(): boolean {
    return true
  }

  override board(rider: Rider): void {
    super.board(rider)
    this.#owner ??= rider
  }

  override leave(rider: Rider): void {
    super.leave(rider)
    if (this.#owner !== rider) return
    this.#owner = this.newest
    if (this.#owner !== undefined) this.host.handOver(this.socket, this.#owner.portSide)
  }
}

/** A port at which datagrams for the other end arrive, from anybody. */
export class ListeningPort extends Port {
  readonly listener: Listener
  /** Addresses that it was asked at. */
  readonly ownAddresses: Address[] = []
  /** Addresses of the guest that what was asked there went to. */
  readonly guestAddresses: Address[] = []
  readonly needsGuest: boolean

  /** @param needsGuest whether what arrives there may be for the guest's link */
  constructor(listener: Listener, host: Host, socket: Socket, needsGuest: boolean) {
    super(host, listener.interface, listener.end.port, socket)
    this.listener = listener
    this.needsGuest = needsGuest
  }

  /** Remembers between which addresses a flow has begun. */
  noteAddresses(own: Readonly<Address>, guest: Readonly<Address>): void {
    note(this.ownAddresses, own)
    note(this.guestAddresses, guest)
  }
}

function note(addresses: Address[], address: Readonly<Address>): void {
  for (const known of addresses) if (known.equals(address)) return
  if (addresses.length === MOST_ADDRESSES) addresses.shift()
  addresses.push(address.clone())
}
