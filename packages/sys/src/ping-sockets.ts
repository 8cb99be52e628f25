/**
 * Ping sockets of the host, icmp(7): one for each identifier and version of IP, connected to nobody.
 *
 * The kernel makes them with SO_REUSEADDR, with which any program could have the same identifier, and the replies. So ours are
 * bound without that option. The kernel counts identifiers of both versions as one, but goes by the version as well in what is
 * received: where a socket of ours has the identifier for the other version, both have the option while the second is bound.
 *
 * Before Linux 5.18, those of IPv6 pass over control messages: their hop limit and class are socket options, set when they
 * change.
 */
import { type Demiflow, Errno, hopLimitIn, type Socket, trafficClassIn } from "@demiflow/core"
import { SocketLevel, SocketOption, SocketProtocol, SocketType } from "./constants.ts"
import { DescriptorSet } from "./descriptor-set.ts"
import type { HostSockets } from "./host-sockets.ts"

/** What is remembered of one. */
interface PingSocket {
  /** As it was asked for: 0 if the kernel chose. */
  readonly identifier: number
  readonly isV4: boolean
  /** Marks that an IPv6 one has options for. */
  marks: number
}

/** Opens them. */
export class PingSockets {
  readonly #sockets: HostSockets
  readonly #known = new Map<number, PingSocket>()
  readonly #descriptorsV4 = new Map<number, number>()
  readonly #descriptorsV6 = new Map<number, number>()
  /** Those of IPv6, for a quick answer that a socket is none. */
  readonly #markedByOptions = new DescriptorSet()

  constructor(sockets: HostSockets) {
    this.#sockets = sockets
  }

  /** A ping socket bound to the demiflow's forwarding end, or a negated errno. Not watched yet. */
  open(demiflow: Demiflow): number {
    const { forwardingAddress: address, forwardingPort: identifier, isV4 } = demiflow
    const protocol = isV4 ? SocketProtocol.icmp : SocketProtocol.icmpv6
    const descriptor = this.#sockets.openShared(demiflow, SocketType.datagram, protocol)
    if (descriptor < 0) return descriptor
    this.#allowReuse(descriptor, false)
    let result = this.#sockets.bindHere(descriptor, address, identifier)
    if (result === -Errno.EADDRINUSE) {
      const other = this.#descriptors(!isV4).get(identifier)
      if (other !== undefined) result = this.#bindBeside(other, descriptor, demiflow)
    }
    if (result < 0) return this.#sockets.abandon(descriptor, result)
    this.#remember(descriptor, identifier, isV4)
    return descriptor
  }

  /** Has the socket, if it is a ping socket that needs options for that, send with hop limit and class of the marks. */
  mark(socket: Socket, marks: number): void {
    if (!this.#markedByOptions.has(socket)) return
    const known = this.#known.get(socket)
    if (known === undefined || known.marks === marks) return
    const hopLimit = hopLimitIn(marks)
    const trafficClass = trafficClassIn(marks)
    if (hopLimit !== hopLimitIn(known.marks)) this.#sockets.setHopLimit(socket, false, hopLimit)
    if (trafficClass !== trafficClassIn(known.marks)) this.#sockets.setTrafficClass(socket, false, trafficClass)
    known.marks = marks
  }

  /** The socket is closed. */
  forget(socket: number): void {
    this.#markedByOptions.delete(socket)
    const known = this.#known.get(socket)
    if (known === undefined) return
    this.#known.delete(socket)
    const descriptors = this.#descriptors(known.isV4)
    if (descriptors.get(known.identifier) === socket) descriptors.delete(known.identifier)
  }

  #bindBeside(other: number, descriptor: number, { forwardingAddress, forwardingPort }: Demiflow): number {
    this.#allowReuse(other, true)
    this.#allowReuse(descriptor, true)
    const result = this.#sockets.bindHere(descriptor, forwardingAddress, forwardingPort)
    this.#allowReuse(other, false)
    this.#allowReuse(descriptor, false)
    return result
  }

  #allowReuse(descriptor: number, isAllowed: boolean): void {
    const { native } = this.#sockets
    native.setOptionInteger(descriptor, SocketLevel.socket, SocketOption.reuseAddress, isAllowed ? 1 : 0)
  }

  #remember(descriptor: number, identifier: number, isV4: boolean): void {
    this.#known.set(descriptor, { identifier, isV4, marks: 0 })
    if (identifier !== 0) this.#descriptors(isV4).set(identifier, descriptor)
    if (!isV4) this.#markedByOptions.add(descriptor)
  }

  #descriptors(isV4: boolean): Map<number, number> {
    return isV4 ? this.#descriptorsV4 : this.#descriptorsV6
  }
}
