import {
  type Address,
  type Demiflow,
  type InterfaceId,
  NO_MARKS,
  NO_SIDE,
  NO_SOCKET,
  type SideRef,
  type Socket,
  type Sockets,
  setFragmentation,
} from "@demiflow/core"
import type { SocketHolder } from "./giving-way.ts"
import type { UseList } from "./use-list.ts"

/** A flow that shares a port's socket. The port keeps the neighbours; undefined at first. */
export interface Rider {
  /** The side of the flow that the socket carries. */
  readonly portSide: SideRef
  nextRider: Rider | undefined
  previousRider: Rider | undefined
}

/**
 * A port of the host, or inside the namespace, with the one socket that is bound to it. Every flow of the port shares
 * the socket: all correspondents see the same port (RFC 4787, REQ-1), and the order of a correspondent's datagrams is
 * kept.
 */
export abstract class SharedPort {
  /** The sockets that the port's own belongs to. */
  readonly sockets: Sockets
  /** Where the socket lives. */
  readonly interface: InterfaceId
  /** The port, or the identifier of a ping socket. */
  readonly number: number
  /** {@link NO_SOCKET} once the port is closed. */
  socket: Socket
  /** For the owner's use: entries that the next receiving call asks for. */
  burst = 0
  /** For the owner's use: a side of the flow that received last; {@link NO_SIDE} once a flow has ended since. */
  heardLast: SideRef = NO_SIDE
  /** Whether the port is in a {@link WaitingList}. */
  isWaiting = false
  /** Whether received datagrams may be for the guest's link. */
  abstract readonly needsGuest: boolean
  #newest: Rider | undefined
  /** Marks that fragmentation was last set from. */
  #marksV4: number = NO_MARKS
  #marksV6: number = NO_MARKS

  constructor(sockets: Sockets, place: InterfaceId, number: number, socket: Socket) {
    this.sockets = sockets
    this.interface = place
    this.number = number
    this.socket = socket
  }

  /** True while flows share the socket. */
  get isInUse(): boolean {
    return this.#newest !== undefined
  }

  /** The flow that joined last. */
  get newest(): Rider | undefined {
    return this.#newest
  }

  /** Adds a flow to those that share the socket. */
  board(rider: Rider): void {
    rider.nextRider = this.#newest
    rider.previousRider = undefined
    if (this.#newest !== undefined) this.#newest.previousRider = rider
    this.#newest = rider
  }

  /** Removes a flow that has ended. */
  leave(rider: Rider): void {
    const { nextRider, previousRider } = rider
    if (previousRider === undefined) this.#newest = nextRider
    else previousRider.nextRider = nextRider
    if (nextRider !== undefined) nextRider.previousRider = previousRider
    rider.nextRider = rider.previousRider = undefined
    this.heardLast = NO_SIDE
  }

  /** The marks from which fragmentation was last set, for one version of IP. */
  marksOf(isV4: boolean): number {
    return isV4 ? this.#marksV4 : this.#marksV6
  }

  /**
   * Sets whether what the socket sends from now on, over one version of IP, may be fragmented, as these marks have it.
   */
  mark(isV4: boolean, marks: number): void {
    const before = this.marksOf(isV4)
    if (marks === before) return
    setFragmentation(this.sockets, this.socket, isV4, before, marks)
    if (isV4) this.#marksV4 = marks
    else this.#marksV6 = marks
  }

  close(): void {
    if (this.socket < 0) return
    this.sockets.close(this.socket)
    this.socket = NO_SOCKET
  }

  /** Replaces the closed socket by another one that is bound to the same end. */
  protected renew(socket: Socket): void {
    this.socket = socket
    this.#marksV4 = NO_MARKS
    this.#marksV6 = NO_MARKS
  }
}

/** What a {@link GuestPort} is bound to. The address must not change: ports may share it. */
export interface PortBinding {
  readonly address: Readonly<Address>
  readonly number: number
  readonly isApart: boolean
}

/** A port of the host that flows of the guest share. It has the number of the guest's own port if that is free. */
export class GuestPort extends SharedPort implements SocketHolder {
  /** The address that the port is bound to; may be the unspecified one. */
  readonly address: Readonly<Address>
  /** Whether the port reaches the host's loopback and nothing else. */
  readonly isApart: boolean
  /** The guest's end that the port was opened for. */
  readonly guestAddress: Readonly<Address>
  readonly guestPort: number
  /** For {@link GuestPorts}: the next younger port for the same port of the guest's. */
  nextAlike: GuestPort | undefined = undefined
  /**
   * For the owner's use, like the other fields of a list entry: clock milliseconds of the last datagram by any flow.
   */
  lastActivity = 0
  list: UseList<SocketHolder> | undefined = undefined
  older: SocketHolder | undefined = undefined
  newer: SocketHolder | undefined = undefined
  listedAt = 0
  /** The flow whose side receives the socket's events. */
  #owner: Rider | undefined

  constructor(
    sockets: Sockets,
    place: InterfaceId,
    bound: PortBinding,
    socket: Socket,
    guestAddress: Readonly<Address>,
    guestPort: number,
  ) {
    super(sockets, place, bound.number, socket)
    this.address = bound.address
    this.isApart = bound.isApart
    this.guestAddress = guestAddress
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
    if (this.#owner !== undefined && this.socket >= 0) this.sockets.handOver(this.socket, this.#owner.portSide)
  }

  /** The flow whose side receives the socket's events. */
  get owner(): Rider | undefined {
    return this.#owner
  }

  /**
   * Replaces the socket after {@link SharedPort.close} by one bound to the same end, which was opened for the
   * {@link GuestPort.owner}.
   */
  override renew(socket: Socket): void {
    super.renew(socket)
  }

  /**
   * Completes the ends of a datagram received here, or of an error about one sent from here, to a flow's side on the
   * host. {@link Sockets.receiveFromAnyone} fills in only the correspondent end.
   */
  complete(ends: Demiflow): void {
    ends.interface = this.interface
    ends.forwardingAddress.copyFrom(this.address)
    ends.forwardingPort = this.number
  }
}
