import {
  type Address,
  Demiflow,
  Errno,
  type FlowTable,
  type Forwarding,
  Interface,
  type SideRef,
  type Socket,
  type Sockets,
  UNSPECIFIED_V4,
  UNSPECIFIED_V6,
} from "@demiflow/core"
import { GuestPort, type Rider } from "./shared-port.ts"

/**
 * Ports remembered for one port of the guest's. There is more than one where several addresses of the guest send to the
 * same correspondent. A port beyond this number isn't shared.
 */
const MOST_ALIKE = 16

/** What {@link GuestPorts} needs from a stack. */
export interface GuestPortsSurroundings {
  readonly flows: Pick<FlowTable, "lookup" | "readSide">
  readonly forwarding: Pick<Forwarding, "hasOutboundAddress">
  readonly sockets: Sockets
}

/** Opens a socket at the demiflow's forwarding end, as {@link Sockets.udpBind} does. */
export type BindPort = (sockets: Sockets, side: SideRef, demiflow: Demiflow) => Socket

/** What a protocol can set for its ports. */
export interface GuestPortsOptions {
  /** Opens a port; {@link Sockets.udpBind} if absent. */
  readonly bind?: BindPort
  /**
   * True if a port carries flows of one guest address only, so that each address has the same port to all
   * correspondents. The protocol must limit how many ports there are at once.
   */
  readonly isPerAddress?: boolean
}

const bindUdp: BindPort = (sockets, side, demiflow) => sockets.udpBind(side, demiflow)

/**
 * The ports of the host that the guest's flows use. There is one for each port of the guest's, for any number of
 * correspondents and all of the guest's addresses, unless the options say otherwise (RFC 4787, REQ-1,
 * endpoint-independent mapping).
 *
 * To start a flow, call {@link GuestPorts.share} with the host side that the policy chose, record that side in the flow
 * table, let the flow board the port, and send with {@link Sockets.sendDatagramsTo}. On an event on the side of any
 * flow of a port, receive with {@link Sockets.receiveFromAnyone}, {@link GuestPort.complete} the ends, and find the
 * flow in the flow table. Call {@link GuestPorts.leave} when a flow ends.
 */
export class GuestPorts {
  readonly #flows: Pick<FlowTable, "lookup" | "readSide">
  readonly #forwarding: Pick<Forwarding, "hasOutboundAddress">
  readonly #sockets: Sockets
  readonly #protocol: number
  readonly #bind: BindPort
  readonly #isPerAddress: boolean
  /** The oldest port, by the guest's port. */
  // RFC 4787 REQ-1 MUST: a port of the guest is one port of the host for all correspondents
  readonly #byGuestPort = new Map<number, GuestPort>()
  readonly #open = new Set<GuestPort>()
  /** Unspecified addresses that aren't frozen: V8 compiles code for frozen objects separately. */
  readonly #anyV4 = UNSPECIFIED_V4.clone()
  readonly #anyV6 = UNSPECIFIED_V6.clone()
  /**
   * The guest address of the port opened last: the next port is usually for the same address, and shares the object.
   */
  #lastGuestAddress: Readonly<Address> = this.#anyV4

  /** @param protocol IP protocol number of the flows */
  constructor(
    { flows, forwarding, sockets }: GuestPortsSurroundings,
    protocol: number,
    { bind = bindUdp, isPerAddress = false }: GuestPortsOptions = {},
  ) {
    this.#flows = flows
    this.#forwarding = forwarding
    this.#sockets = sockets
    this.#protocol = protocol
    this.#bind = bind
    this.#isPerAddress = isPerAddress
  }

  /** The open ports. */
  get open(): ReadonlySet<GuestPort> {
    return this.#open
  }

  /**
   * Returns the port through which a flow of the guest's is to leave, opened if necessary; a negative number if none
   * can be opened.
   *
   * @param side of the flow, on the host: it receives the socket's events if the port is new
   * @param tap the flow's side towards the guest
   * @param target the wanted side on the host; changed to the actual one
   */
  share(side: SideRef, tap: Demiflow, target: Demiflow): GuestPort | Socket {
    this.leaveLoopbackOpen(target)
    const port = this.find(tap, target) ?? this.add(side, tap, target)
    if (target.forwardingPort === 0 || (port !== -Errno.EADDRINUSE && port !== -Errno.EACCES)) return port
    target.forwardingPort = 0
    return this.add(side, tap, target)
  }

  /**
   * Whether a port for the guest's port of this number holds that number on the host, at all addresses of one version
   * of IP.
   */
  holdWhole(number: number, isV4: boolean): boolean {
    for (let port = this.#byGuestPort.get(number); port !== undefined; port = port.nextAlike) {
      if (port.number === number && isWhole(port, isV4)) return true
    }
    return false
  }

  /** Binds the number of a closed port that still has flows again. Returns false if that fails. */
  reopen(port: GuestPort): boolean {
    if (port.owner === undefined) return false
    const side = port.owner.portSide
    const target = new Demiflow(port.interface)
    this.#flows.readSide(side, target)
    const socket = this.#bind(this.#sockets, side, target)
    if (socket >= 0) port.renew(socket)
    return socket >= 0
  }

  /** Removes a flow that has ended. The last flow of a port closes it. */
  leave(port: GuestPort, rider: Rider): void {
    port.leave(rider)
    if (!port.isInUse) this.retire(port)
  }

  /**
   * Replaces a loopback source by the unspecified address, unless loopback needs a socket of its own: the host sends
   * from loopback there anyway. A socket bound to a loopback address would get in the way of one at all addresses.
   */
  leaveLoopbackOpen({ forwardingAddress, isV4 }: Demiflow): void {
    if (!forwardingAddress.isLoopback || this.#sockets.separatesLoopback(isV4)) return
    if (this.#forwarding.hasOutboundAddress(isV4)) return
    forwardingAddress.copyFrom(isV4 ? UNSPECIFIED_V4 : UNSPECIFIED_V6)
  }

  /**
   * Finds an open port for a flow. One opened for the same guest address is preferred. Another one is used unless it
   * already has a flow to the same correspondent, whose replies could then be for either flow.
   */
  find(tap: Demiflow, target: Demiflow): GuestPort | undefined {
    const oldest = this.#byGuestPort.get(tap.correspondentPort)
    if (oldest === undefined) return undefined
    const isApart = this.#isApart(target)
    const wanted = target.forwardingPort
    let found: GuestPort | undefined
    for (let port: GuestPort | undefined = oldest; port !== undefined; port = port.nextAlike) {
      if (port.isApart !== isApart || !port.address.equals(target.forwardingAddress)) continue
      const isSame = port.guestAddress.equals(tap.correspondentAddress)
      if (!isSame && (found !== undefined || this.#isPerAddress)) continue
      target.forwardingPort = port.number
      if (this.#flows.lookup(this.#protocol, target) >= 0) continue
      found = port
      if (isSame) break
    }
    target.forwardingPort = found === undefined ? wanted : found.number
    return found
  }

  /**
   * Opens a port at the forwarding end of `target`. If the number there is 0, the host chooses it, and it is filled in.
   * Returns a negated error number on failure. Parameters are those of {@link GuestPorts.share}.
   */
  add(side: SideRef, tap: Demiflow, target: Demiflow): GuestPort | Socket {
    const sockets = this.#sockets
    const socket = this.#bind(sockets, side, target)
    if (socket < 0) return socket
    if (target.forwardingPort === 0) {
      const bound = target.clone()
      const result = sockets.boundEnd(socket, bound)
      if (result < 0) {
        sockets.close(socket)
        return result as Socket
      }
      target.forwardingPort = bound.forwardingPort
    }
    const { forwardingPort: number } = target
    const bound = { address: this.#kept(target.forwardingAddress), number, isApart: this.#isApart(target) }
    if (!this.#lastGuestAddress.equals(tap.correspondentAddress)) {
      this.#lastGuestAddress = tap.correspondentAddress.clone()
    }
    const port = new GuestPort(sockets, Interface.host, bound, socket, this.#lastGuestAddress, tap.correspondentPort)
    this.#open.add(port)
    this.#addAlike(port)
    return port
  }

  /** Returns a shared copy of the address if it is unspecified, as most are, else a copy of its own. */
  #kept(address: Readonly<Address>): Readonly<Address> {
    if (!address.isUnspecified) return address.clone()
    return address.isV4 ? this.#anyV4 : this.#anyV6
  }

  #addAlike(port: GuestPort): void {
    let last = this.#byGuestPort.get(port.guestPort)
    if (last === undefined) {
      this.#byGuestPort.set(port.guestPort, port)
      return
    }
    let count = 1
    for (; last.nextAlike !== undefined; last = last.nextAlike) count++
    if (this.#isPerAddress || count < MOST_ALIKE) last.nextAlike = port
  }

  /** Closes a port to further flows. The owner must end those that share it. */
  retire(port: GuestPort): void {
    this.#open.delete(port)
    this.#removeAlike(port)
    port.close()
  }

  #removeAlike(port: GuestPort): void {
    const { guestPort, nextAlike } = port
    port.nextAlike = undefined
    let older = this.#byGuestPort.get(guestPort)
    if (older === port) {
      if (nextAlike === undefined) this.#byGuestPort.delete(guestPort)
      else this.#byGuestPort.set(guestPort, nextAlike)
      return
    }
    while (older !== undefined && older.nextAlike !== port) older = older.nextAlike
    if (older !== undefined) older.nextAlike = nextAlike
  }

  #isApart(target: Demiflow): boolean {
    return target.correspondentAddress.isLoopback && this.#sockets.separatesLoopback(target.isV4)
  }
}

function isWhole({ address }: GuestPort, isV4: boolean): boolean {
  return address.isV4 === isV4 && address.isUnspecified
}
