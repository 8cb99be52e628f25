/**
 * Listening at ports of the host that flows of the guest's have: a program in the namespace binds a port, sends from there, and
 * the port is forwarded a moment later. No two sockets may have it (decision 20), so the flows change theirs: what has arrived
 * is read, the guest's port is closed, and the flows board the listening one. Correspondents notice nothing.
 *
 * Where it is other programs that don't leave the port, the guest's is opened again, with all its flows.
 */
import {
  type Components,
  Demiflow,
  Errno,
  type FlowIndex,
  flowOf,
  type GuestPort,
  hostAt,
  Interface,
  type Listener,
  type ListeningEnd,
  type Rider,
  type Socket,
} from "@demiflow/core"
import type { Beginnings } from "./beginnings.ts"
import { ListeningPort } from "./listening-port.ts"
import type { PortsInUse } from "./ports-in-use.ts"
import { sourceTowards } from "./source-towards.ts"

/** Milliseconds until flows are disturbed again for a port number that wasn't free without them either. */
const PAUSE = 60_000

/** What {@link Takeovers} works with. */
export interface TakeoverParts {
  readonly components: Components
  readonly ports: PortsInUse
  readonly beginnings: Beginnings
  /** Passes on what a port's socket holds. */
  readonly empty: (port: GuestPort) => void
  /** Ends a flow that can't stay. */
  readonly endFlow: (flow: FlowIndex) => void
}

/** Opens listening ports, where flows of the guest's have them too. */
export class Takeovers {
  readonly #parts: TakeoverParts
  /** Until when ports are left alone, by number. */
  readonly #inVainUntil = new Map<number, number>()
  readonly #side = new Demiflow()
  /** A side with the address that the host has chosen. */
  readonly #chosen = new Demiflow()

  constructor(parts: TakeoverParts) {
    this.#parts = parts
  }

  /** The port for a listener, whose flows are those that were there already; or a negated error number. */
  listen(listener: Listener): ListeningPort | Socket {
    const { end, ref, interface: place } = listener
    const host = hostAt(this.#parts.components, place)
    if (host === undefined) return -Errno.EPROTONOSUPPORT as Socket
    let socket = host.udpListen(ref, end)
    const holders = socket === -Errno.EADDRINUSE && place === Interface.host ? this.#emptiedHolders(end) : []
    if (holders.length > 0) {
      for (const holder of holders) holder.close()
      socket = host.udpListen(ref, end)
    }
    if (socket < 0) {
      this.#restore(holders, end)
      return socket
    }
    this.#inVainUntil.delete(end.port)
    // What arrives on the host may be for the guest's link; what arrives in the namespace never is.
    const port = new ListeningPort(listener, host, socket, place === Interface.host)
    this.#parts.ports.listening.add(port)
    for (const holder of holders) this.#move(holder, port)
    return port
  }

  /** Ports of the guest's that may be in the way, with nothing left to be received. */
  #emptiedHolders(end: ListeningEnd): GuestPort[] {
    const { components, empty, ports } = this.#parts
    if ((this.#inVainUntil.get(end.port) ?? 0) > components.clock.now) return []
    const holders = [...ports.guest.open].filter((port) => isInConflict(port, end))
    for (const holder of holders) empty(holder)
    // What was received may have ended a flow, and closed its port.
    return holders.filter((holder) => holder.socket >= 0)
  }

  #restore(holders: readonly GuestPort[], end: ListeningEnd): void {
    const { components, ports } = this.#parts
    if (holders.length > 0) this.#inVainUntil.set(end.port, components.clock.now + PAUSE)
    for (const holder of holders) {
      if (!ports.guest.reopen(holder)) ports.retire(holder)
    }
  }

  #move(holder: GuestPort, port: ListeningPort): void {
    const { beginnings, components } = this.#parts
    const side = this.#side
    for (const rider of ridersOf(holder)) {
      components.flows.readSide(rider.portSide, side)
      if (this.#goesOn(port, side)) beginnings.move(flowOf(rider.portSide), port, side)
      else this.#end(rider)
    }
  }

  #end(rider: Rider): void {
    this.#parts.endFlow(flowOf(rider.portSide))
  }

  /** Whether a flow with this side of the host goes on at the port as it began: nothing but its socket is another one. */
  #goesOn(port: ListeningPort, side: Demiflow): boolean {
    if (port.sendsAs(side)) return true
    // A flow that leaves the choice of its address to the host has the one that the host sends from.
    const source = side.forwardingAddress.isUnspecified ? sourceTowards(this.#parts.components.host, side) : undefined
    if (source === undefined) return false
    const chosen = this.#chosen.copyFrom(side)
    chosen.forwardingAddress.copyFrom(source)
    return port.sendsAs(chosen)
  }
}

/** Whether no socket can listen at `end` while the port is open. */
function isInConflict({ address: bound, number }: GuestPort, { address, port }: ListeningEnd): boolean {
  if (number !== port) return false
  if (address === undefined) return true
  return address.isV4 === bound.isV4 && (address.isUnspecified || bound.isUnspecified || address.equals(bound))
}

/** The flows of a port, oldest first. */
function ridersOf(port: GuestPort): Rider[] {
  const riders: Rider[] = []
  for (let rider = port.newest; rider !== undefined; rider = rider.nextRider) riders.push(rider)
  return riders.reverse()
}
