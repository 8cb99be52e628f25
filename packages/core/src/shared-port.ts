import type { Address } from "./address.ts"
import type { Demiflow, InterfaceId } from "./demiflow.ts"
import { NO_SIDE, type SideRef } from "./flow-table.ts"
import type { SocketHolder } from "./giving-way.ts"
import { type Host, NO_SOCKET, type Socket } from "./host.ts"
import { NO_MARKS, setFragmentation } from "./packet-marks.ts"
import type { UseList } from "./use-list.ts"

/** A flow, as one of those that share a port's socket. The neighbours are kept by the port; undefined at first. */
export interface Rider {
  /** The side of the flow that the socket carries. */
  readonly portSide: SideRef
  nextRider: Rider | undefined
  previousRider: Rider | undefined
}

/**
 * A port of the host, or inside the namespace, with the one socket that is bound to it: every flow of the port shares it, so
 * that all correspondents see the same port (RFC 4787, REQ-1), and what one of them sends stays in order.
 */
export abstract class SharedPort {
  /** Whose the socket is. */
  readonly host: Host
  /** Where that is. */
  readonly interface: InterfaceId
  /** The port, or the identifier of a ping socket. */
  readonly number: number
  /** {@link NO_SOCKET} once it is closed. */
  socket: Socket
  /** For the owner's use: entries that the next receiving call asks for. */
  burst = 0
  /** For the owner's use: a side of the flow that was heard last, {@link NO_SIDE} when a flow has ended since. */
  heardLast: SideRef = NO_SIDE
  /** Whether it stands in a {@link WaitingList}. */
  isWaiting = false
  /** Whether what is received may be for the guest's link. */
  abstract readonly needsGuest: boolean
  #newest: Rider | undefined
  /** Marks that last said whether what the socket sends may be fragmented. */
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

  /** The marks, over one version of IP, that last said whether what the socket sends may be fragmented. */
  marksOf(isV4: boolean): number {
    return isV4 ? this.#marksV4 : this.#marksV6
  }

  /** What the socket sends from now on, over one version of IP, may be fragmented if these marks say so. */
  mark(isV4: boolean, marks: number): void {
    const before = this.marksOf(isV4)
    if (marks === before) return
    setFragmentation(this.host, this.socket, isV4, before, marks)
    if (isV4) this.#marksV4 = marks
    else this.#marksV6 = marks
  }

  close(): void {
    if (this.socket < 0) return
    this.host.close(this.socket)
    this.socket = NO_SOCKET
  }

  /** Has another socket from now on, bound as the one that was closed. */
  protected renew(socket: Socket): void {
    this.socket = socket
    this.#marksV4 = NO_MARKS
    this.#marksV6 = NO_MARKS
  }
}

/** What a {@link GuestPort} is bound to. The address stays as it is: ports may have one in common. */
export interface PortBinding {
  readonly address: Readonly<Address>
  readonly number: number
  readonly isApart: boolean
}

/** A port of the host that flows of the guest's share: the number of the guest's own port, where that is free. */
export class GuestPort extends SharedPort implements SocketHolder {
  /** The address that it is bound to, or the unspecified one. */
  readonly address: Readonly<Address>
  /** Whether it reaches the host's loopback and nothing else. */
  readonly isApart: boolean
  /** The guest's end that it was opened for. */
  readonly guestAddress: Readonly<Address>
  readonly guestPort: number
  /** For {@link GuestPorts}: the next younger one for the same port of the guest's. */
  nextAlike: GuestPort | undefined = undefined
  /** For the owner's use, as all that a list needs: clock milliseconds of the last datagram by any flow. */
  lastActivity = 0
  list: UseList<SocketHolder> | undefined = undefined
  older: SocketHolder | undefined = undefined
  newer: SocketHolder | undefined = undefined
  listedAt = 0
  /** Whose side hears of the socket's events. */
  #owner: Rider | undefined

  constructor(
    host: Host,
    place: InterfaceId,
    bound: PortBinding,
    socket: Socket,
    guestAddress: Readonly<Address>,
    guestPort: number,
  ) {
    super(host, place, bound.number, socket)
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
    if (this.#owner !== undefined && this.socket >= 0) this.host.handOver(this.socket, this.#owner.portSide)
  }

  /** The flow that hears of the socket's events. */
  get owner(): Rider | undefined {
    return this.#owner
  }

  /**
   * After {@link SharedPort.close}: has a new socket, bound to the same end, which was opened for the
   * {@link GuestPort.owner}.
   */
  override renew(socket: Socket): void {
    super.renew(socket)
  }

  /**
   * Completes the ends of what was received here, or was reported about what was sent from here, to the side that a flow has
   * on the host: what {@link Host.receiveFromAnyone} fills in is the correspondent end.
   */
  complete(ends: Demiflow): void {
    ends.interface = this.interface
    ends.forwardingAddress.copyFrom(this.address)
    ends.forwardingPort = this.number
  }
}
