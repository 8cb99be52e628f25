/**
 * Listening at ports of the host that flows of the guest already use: a program in the namespace binds a port and sends
 * from it, and the port is forwarded a moment later. No two sockets may have the port (decision 20), so the flows
 * change sockets: what has arrived is read, the guest's port is closed, and the flows move to the listening port.
 * Correspondents notice nothing. A port may have as many flows as the flow table holds. They move one after the other,
 * a few in a turn; a flow that is used before its turn moves then.
 *
 * If the port is still taken, by other programs, the guest's port is reopened with all its flows.
 */
import {
  type Components,
  Demiflow,
  Errno,
  Interface,
  type Listener,
  type ListeningEnd,
  type Socket,
  socketsAt,
} from "@demiflow/core"
import type { GuestPort, SharedPort } from "@demiflow/protocol-kit"
import type { Beginnings } from "./beginnings.ts"
import { ListeningPort } from "./listening-port.ts"
import type { PortsInUse } from "./ports-in-use.ts"
import { sourceTowards } from "./source-towards.ts"
import type { UdpFlow } from "./state.ts"

/** Milliseconds until flows are interrupted again for a port number that wasn't free without them either. */
const PAUSE = 60_000

/** The parts that {@link Takeovers} works with. */
export interface TakeoverParts {
  readonly components: Components
  readonly ports: PortsInUse
  readonly beginnings: Beginnings
  /** Delivers what a port's socket holds. */
  readonly empty: (port: GuestPort) => void
}

/** Opens listening ports, even where flows of the guest use them. */
export class Takeovers {
  readonly #parts: TakeoverParts
  /** Clock milliseconds until which ports are left alone, by number. */
  readonly #inVainUntil = new Map<number, number>()
  /** The listening ports to which the flows of closed ports move. */
  readonly #successors = new WeakMap<SharedPort, ListeningPort>()
  readonly #side = new Demiflow()
  /** A side with the address that the host has chosen. */
  readonly #chosen = new Demiflow()

  constructor(parts: TakeoverParts) {
    this.#parts = parts
  }

  /**
   * Opens the port of a listener, and moves flows that used it before to it. Returns a negated error number on failure.
   */
  listen(listener: Listener): ListeningPort | Socket {
    const { components, ports } = this.#parts
    const { end, ref, interface: place } = listener
    const sockets = socketsAt(components, place)
    if (sockets === undefined) return -Errno.EPROTONOSUPPORT as Socket
    let socket = sockets.udpListen(ref, end)
    const holders = socket === -Errno.EADDRINUSE && place === Interface.host ? this.#emptiedHolders(end) : []
    if (holders.length > 0) {
      for (const holder of holders) holder.close()
      socket = sockets.udpListen(ref, end)
    }
    if (socket < 0) {
      this.#restore(holders, end)
      return socket
    }
    this.#inVainUntil.delete(end.port)
    // Datagrams that arrive on the host may be for the guest's link; those in the namespace never are.
    const port = new ListeningPort(listener, sockets, socket, place === Interface.host)
    ports.listening.add(port)
    for (const holder of holders) {
      this.#successors.set(holder, port)
      ports.retire(holder)
    }
    return port
  }

  /** Moves a flow whose port was closed to the port that replaces it. Returns false if it can't, and must end. */
  carryOn(flow: UdpFlow): boolean {
    const { beginnings, components } = this.#parts
    const port = flow.port && this.#successors.get(flow.port)
    if (port === undefined || port.socket < 0) return false
    const side = this.#side
    components.flows.readSide(flow.portSide, side)
    if (!this.#goesOn(port, side)) return false
    beginnings.move(flow, port, side)
    return true
  }

  /** Returns the guest's ports that may be in the way, after delivering what they have received. */
  #emptiedHolders(end: ListeningEnd): GuestPort[] {
    const { components, empty, ports } = this.#parts
    if ((this.#inVainUntil.get(end.port) ?? 0) > components.clock.now) return []
    const holders = [...ports.guest.open].filter((port) => isInConflict(port, end))
    for (const holder of holders) empty(holder)
    // A delivered datagram may have ended a flow, and closed its port.
    return holders.filter((holder) => holder.socket >= 0)
  }

  #restore(holders: readonly GuestPort[], end: ListeningEnd): void {
    const { components, ports } = this.#parts
    if (holders.length > 0) this.#inVainUntil.set(end.port, components.clock.now + PAUSE)
    for (const holder of holders) {
      if (!ports.guest.reopen(holder)) ports.retire(holder)
    }
  }

  /** True if a flow with this side of the host can continue at the port unchanged, except for its socket. */
  #goesOn(port: ListeningPort, side: Demiflow): boolean {
    if (port.sendsAs(side)) return true
    // For a flow that leaves the choice of its address to the host, compare the one that the host sends from.
    const source = side.forwardingAddress.isUnspecified
      ? sourceTowards(this.#parts.components.sockets, side)
      : undefined
    if (source === undefined) return false
    const chosen = this.#chosen.copyFrom(side)
    chosen.forwardingAddress.copyFrom(source)
    return port.sendsAs(chosen)
  }
}

/** True if no socket can listen at `end` while the port is open. */
function isInConflict({ address: bound, number }: GuestPort, { address, port }: ListeningEnd): boolean {
  if (number !== port) return false
  if (address === undefined) return true
  return address.isV4 === bound.isV4 && (address.isUnspecified || bound.isUnspecified || address.equals(bound))
}
