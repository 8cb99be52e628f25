import { type Address, UNSPECIFIED_V4, UNSPECIFIED_V6 } from "./address.ts"
import { Demiflow, Interface } from "./demiflow.ts"
import type { FlowTable, SideRef } from "./flow-table.ts"
import type { Forwarding } from "./forwarding.ts"
import { Errno, type Host, type Socket } from "./host.ts"
import { GuestPort, type Rider } from "./shared-port.ts"

/**
 * Ports that are remembered for one port of the guest's. Beyond the first there are some where the guest has several addresses
 * that speak to the same correspondent; one more than that isn't shared.
 */
const MOST_ALIKE = 16

/** What {@link GuestPorts} needs of a stack. */
export interface GuestPortsSurroundings {
  readonly flows: Pick<FlowTable, "lookup" | "readSide">
  readonly forwarding: Pick<Forwarding, "hasOutboundAddress">
  readonly host: Host
}

/** Opens a socket at the demiflow's forwarding end, as {@link Host.udpBind} does. */
export type BindPort = (host: Host, side: SideRef, demiflow: Demiflow) => Socket

/** What ports of a protocol may have of their own. */
export interface GuestPortsOptions {
  /** What opens them; {@link Host.udpBind} if absent. */
  readonly bind?: BindPort
  /**
   * True if a port has flows of one address of the guest's only, so that each address has the same port to everybody. How many
   * ports there are at once is for the protocol to limit.
   */
  readonly isPerAddress?: boolean
}

const bindUdp: BindPort = (host, side, demiflow) => host.udpBind(side, demiflow)

/**
 * The ports of the host that the guest's flows have: one for each port of the guest's, with any number of correspondents, and
 * whichever of the guest's addresses sends, unless the options say otherwise (RFC 4787, REQ-1, endpoint-independent mapping).
 *
 * Use: {@link GuestPorts.share} with the side on the host that the policy wants; record that side in the flow table, have
 * the flow board the port, and send by {@link Host.sendDatagramsTo}. An event on the side of any flow of a port means:
 * receive by {@link Host.receiveFromAnyone}, {@link GuestPort.complete} the ends, and look the flow up.
 * {@link GuestPorts.leave} when a flow ends.
 */
export class GuestPorts {
  readonly #flows: Pick<FlowTable, "lookup" | "readSide">
  readonly #forwarding: Pick<Forwarding, "hasOutboundAddress">
  readonly #host: Host
  readonly #protocol: number
  readonly #bind: BindPort
  readonly #isPerAddress: boolean
  /** The oldest one by the guest's port. */
  readonly #byGuestPort = new Map<number, GuestPort>()
  readonly #open = new Set<GuestPort>()
  /** Unspecified addresses as other objects: what V8 compiles for those that are frozen is apart. */
  readonly #anyV4 = UNSPECIFIED_V4.clone()
  readonly #anyV6 = UNSPECIFIED_V6.clone()
  /** The guest's address that a port was opened for last: mostly the next one is for the same. */
  #lastGuestAddress: Readonly<Address> = this.#anyV4

  /** @param protocol IP protocol number of the flows */
  constructor(
    { flows, forwarding, host }: GuestPortsSurroundings,
    protocol: number,
    { bind = bindUdp, isPerAddress = false }: GuestPortsOptions = {},
  ) {
    this.#flows = flows
    this.#forwarding = forwarding
    this.#host = host
    this.#protocol = protocol
    this.#bind = bind
    this.#isPerAddress = isPerAddress
  }

  /** Those that are open. */
  get open(): ReadonlySet<GuestPort> {
    return this.#open
  }

  /**
   * The port by which a flow of the guest's is to leave, opened if need be; a negative number if there can be none.
   *
   * @param side of the flow, on the host: it hears of the socket's events, if the port is a new one
   * @param tap the flow's side of the guest
   * @param target its side on the host, as wanted; changed into the one that it gets
   */
  share(side: SideRef, tap: Demiflow, target: Demiflow): GuestPort | Socket {
    this.leaveLoopbackOpen(target)
    const port = this.find(tap, target) ?? this.add(side, tap, target)
    if (target.forwardingPort === 0 || (port !== -Errno.EADDRINUSE && port !== -Errno.EACCES)) return port
    target.forwardingPort = 0
    return this.add(side, tap, target)
  }

  /** Whether one of them, for a port of the guest's with this number, has it at all addresses of one version of IP. */
  holdWhole(number: number, isV4: boolean): boolean {
    for (let port = this.#byGuestPort.get(number); port !== undefined; port = port.nextAlike) {
      if (port.number === number && isWhole(port, isV4)) return true
    }
    return false
  }

  /** Binds the number of a port that was closed, and has flows, again; false if that can't be. */
  reopen(port: GuestPort): boolean {
    if (port.owner === undefined) return false
    const side = port.owner.portSide
    const target = new Demiflow(port.interface)
    this.#flows.readSide(side, target)
    const socket = this.#bind(this.#host, side, target)
    if (socket >= 0) port.renew(socket)
    return socket >= 0
  }

  /** A flow has ended: the last one of a port closes it. */
  leave(port: GuestPort, rider: Rider): void {
    port.leave(rider)
    if (!port.isInUse) this.retire(port)
  }

  /**
   * Leaves a loopback address for the host to choose, which answers itself from there anyway, where one socket does for both. A
   * socket at the address that all others are reached from would be in the way of one at all addresses.
   */
  leaveLoopbackOpen({ forwardingAddress, isV4 }: Demiflow): void {
    if (!forwardingAddress.isLoopback || this.#host.separatesLoopback(isV4)) return
    if (this.#forwarding.hasOutboundAddress(isV4)) return
    forwardingAddress.copyFrom(isV4 ? UNSPECIFIED_V4 : UNSPECIFIED_V6)
  }

  /**
   * A port that is open already. One that was opened for the same address of the guest's goes first; another one does unless
   * its correspondent is spoken to from there already, and couldn't say whom it answers.
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
   * Opens a port, one that is bound to the forwarding end of `target` or, if its number is 0, to any number, which is filled in;
   * a negated error number if there is none. Parameters as those of {@link GuestPorts.share}.
   */
  add(side: SideRef, tap: Demiflow, target: Demiflow): GuestPort | Socket {
    const host = this.#host
    const socket = this.#bind(host, side, target)
    if (socket < 0) return socket
    if (target.forwardingPort === 0) {
      const bound = target.clone()
      const result = host.boundEnd(socket, bound)
      if (result < 0) {
        host.close(socket)
        return result as Socket
      }
      target.forwardingPort = bound.forwardingPort
    }
    const { forwardingPort: number } = target
    const bound = { address: this.#kept(target.forwardingAddress), number, isApart: this.#isApart(target) }
    if (!this.#lastGuestAddress.equals(tap.correspondentAddress)) {
      this.#lastGuestAddress = tap.correspondentAddress.clone()
    }
    const port = new GuestPort(host, Interface.host, bound, socket, this.#lastGuestAddress, tap.correspondentPort)
    this.#open.add(port)
    this.#addAlike(port)
    return port
  }

  /** The address as a value: most ports are at all addresses, and have these in common. */
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

  /** Closes a port, which no other flow shares from now on. Those that do are the owner's to end. */
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
    return target.correspondentAddress.isLoopback && this.#host.separatesLoopback(target.isV4)
  }
}

function isWhole({ address }: GuestPort, isV4: boolean): boolean {
  return address.isV4 === isV4 && address.isUnspecified
}
