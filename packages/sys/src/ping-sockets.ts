/**
 * Ping sockets of the host, icmp(7): one for each identifier and IP version, not connected.
 *
 * The kernel sets SO_REUSEADDR on them, with which any program could bind the same identifier and receive the replies.
 * So ours are bound without that option. The kernel counts identifiers of both IP versions as one, but separates the
 * versions when it delivers. So where one of our sockets has the identifier for the other version, both have the option
 * while the second is bound.
 *
 * Before Linux 5.18, IPv6 ping sockets ignore control messages: hop limit and traffic class are socket options, set
 * when they change.
 */
import { type Demiflow, Errno, hopLimitIn, type Socket, trafficClassIn } from "@demiflow/core"
import { SocketLevel, SocketOption, SocketProtocol, SocketType } from "./constants.ts"
import { DescriptorSet } from "./descriptor-set.ts"
import type { SocketOpener } from "./socket-opener.ts"

/** What is recorded about a ping socket. */
interface PingSocket {
  /** As requested: 0 if the kernel chose. */
  readonly identifier: number
  readonly isV4: boolean
  /** The marks that an IPv6 socket's options are set to. */
  marks: number
}

/** Opens ping sockets. */
export class PingSockets {
  readonly #sockets: SocketOpener
  readonly #known = new Map<number, PingSocket>()
  readonly #descriptorsV4 = new Map<number, number>()
  readonly #descriptorsV6 = new Map<number, number>()
  /** IPv6 ping sockets, for a fast check that a socket is none. */
  readonly #markedByOptions = new DescriptorSet()

  constructor(sockets: SocketOpener) {
    this.#sockets = sockets
  }

  /**
   * Opens a ping socket bound to the demiflow's forwarding end. Returns the descriptor, not watched yet, or a negated
   * errno.
   */
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

  /** Sets hop limit and traffic class by options, if the socket is a ping socket that needs that. */
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

  /** Drops the record of a socket that has been closed. */
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
