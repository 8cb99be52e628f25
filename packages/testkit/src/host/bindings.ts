/**
 * The addresses and ports that sockets of the simulated host may bind, and the socket that listens at an end. The rules
 * are those of Linux, for sockets opened as `@demiflow/sys` opens them.
 */
import {
  type Address,
  Demiflow,
  Errno,
  Interface,
  type ListeningEnd,
  type Socket,
  UNSPECIFIED_V4,
  UNSPECIFIED_V6,
} from "@demiflow/core"
import { PingSocket, UdpSocket } from "./datagram-socket.ts"
import { areInConflict, covers, specificity } from "./listening.ts"
import type { SimulatedSocket } from "./simulated-socket.ts"
import { TcpListeningSocket } from "./tcp-listening-socket.ts"
import { TcpSocket } from "./tcp-socket.ts"
import { UnconnectedUdpSocket } from "./unconnected-udp-socket.ts"

type ConnectedKind = typeof TcpSocket | typeof UdpSocket
type ListeningKind<Kind> = new (...parameters: never[]) => Kind

const ENODEV = 19
const FIRST_EPHEMERAL_PORT = 32_768

/** The host's addresses, and the sockets bound to them. Errors are returned as negated error numbers. */
export class Bindings {
  readonly #sockets: ReadonlyMap<number, SimulatedSocket>
  readonly #addresses: readonly Address[]
  readonly #interfaces: readonly string[]
  #nextPort = FIRST_EPHEMERAL_PORT

  /**
   * @param sockets the open sockets
   * @param addresses the first of each family is where the host connects from
   * @param interfaces packets from outside arrive over the first
   */
  constructor(
    sockets: ReadonlyMap<number, SimulatedSocket>,
    addresses: readonly Address[],
    interfaces: readonly string[],
  ) {
    this.#sockets = sockets
    this.#addresses = addresses
    this.#interfaces = interfaces
  }

  /** The host's first address of the family. */
  firstAddress(isV4: boolean): Address | undefined {
    return this.#addresses.find((address) => address.isV4 === isV4)
  }

  /**
   * The forwarding end of an unconnected UDP socket, which may overlap with no other socket's: without SO_REUSEADDR.
   */
  bindUnconnected({ forwardingAddress: address, forwardingPort }: Demiflow): ListeningEnd | Socket {
    if (!address.isUnspecified && !this.#isOwn(address)) return -Errno.EADDRNOTAVAIL as Socket
    const end = { address, port: forwardingPort, interfaceName: undefined, freebind: false }
    if (forwardingPort !== 0) return this.#isHeld(end) ? (-Errno.EADDRINUSE as Socket) : end
    do end.port = this.#takeEphemeralPort()
    while (this.#isHeld(end))
    return end
  }

  /** The forwarding end from which an unconnected socket, or no socket, sends to the demiflow's correspondent. */
  sourceOf(end: ListeningEnd, demiflow: Demiflow): Demiflow | Socket {
    const ends = demiflow.clone()
    ends.forwardingPort = end.port
    if (ends.forwardingAddress.isUnspecified && end.address?.isUnspecified === false) {
      ends.forwardingAddress.copyFrom(end.address)
    }
    // Linux has a route from ::1 to every address.
    if (ends.isV4 && ends.forwardingAddress.isLoopback && !ends.correspondentAddress.isLoopback) {
      return -Errno.EINVAL as Socket
    }
    return this.#withOwnAddress(ends)
  }

  /** The demiflow with its forwarding end filled in, for a socket that shares its end with no other. */
  bindAlone(demiflow: Demiflow, kind: ConnectedKind): Demiflow | Socket {
    const bound = this.#withOwnAddress(demiflow.clone())
    if (typeof bound === "number") return bound
    if (bound.forwardingPort !== 0) return this.#isTaken(bound, kind) ? (-Errno.EADDRINUSE as Socket) : bound
    do {
      bound.forwardingPort = this.#takeEphemeralPort()
    } while (this.#isTaken(bound, kind))
    return bound
  }

  /** The forwarding end of a ping socket, whose identifier no other ping socket of this version of IP may have. */
  bindPing(demiflow: Demiflow): Demiflow | Socket {
    const { forwardingAddress: address, forwardingPort } = demiflow
    if (!address.isUnspecified && !this.#isOwn(address)) return -Errno.EADDRNOTAVAIL as Socket
    const bound = demiflow.clone()
    bound.interface = Interface.host
    if (forwardingPort !== 0) return this.#isPinging(bound) ? (-Errno.EADDRINUSE as Socket) : bound
    do bound.forwardingPort = this.#takeEphemeralPort()
    while (this.#isPinging(bound))
    return bound
  }

  #isPinging({ forwardingPort, isV4 }: Demiflow): boolean {
    for (const socket of this.#sockets.values()) {
      const { demiflow } = socket
      if (socket instanceof PingSocket && demiflow.forwardingPort === forwardingPort && demiflow.isV4 === isV4)
        return true
    }
    return false
  }

  #takeEphemeralPort(): number {
    const port = this.#nextPort++
    if (this.#nextPort > 0xffff) this.#nextPort = FIRST_EPHEMERAL_PORT
    return port
  }

  /** The demiflow with its forwarding address filled in. */
  #withOwnAddress(bound: Demiflow): Demiflow | Socket {
    bound.interface = Interface.host
    if (bound.forwardingAddress.isUnspecified) {
      const { correspondentAddress } = bound
      const own = correspondentAddress.isLoopback ? correspondentAddress : this.firstAddress(bound.isV4)
      if (own === undefined) return -Errno.ENETUNREACH as Socket
      bound.forwardingAddress.copyFrom(own)
    } else if (!this.#isOwn(bound.forwardingAddress)) return -Errno.EADDRNOTAVAIL as Socket
    return bound
  }

  /** The bound end of a socket that is going to listen. */
  bindListening(end: ListeningEnd, kind: ListeningKind<SimulatedSocket>): Demiflow | Socket {
    const { address = UNSPECIFIED_V6, port, interfaceName, freebind } = end
    if (interfaceName !== undefined && !this.#interfaces.includes(interfaceName)) return -ENODEV as Socket
    if (!address.isUnspecified && !freebind && !this.#isOwn(address)) return -Errno.EADDRNOTAVAIL as Socket
    if (kind === UnconnectedUdpSocket ? this.#isHeld(end) : this.#isListenedAt(end, kind)) {
      return -Errno.EADDRINUSE as Socket
    }
    return Demiflow.of(Interface.host, address, port, address.isV4 ? UNSPECIFIED_V4 : UNSPECIFIED_V6, 0)
  }

  /** The socket that listens for packets between the ends; the most specific, if there are several. */
  findListening<Kind extends SimulatedSocket>(
    kind: ListeningKind<Kind>,
    ends: Demiflow,
    interfaceName: string = this.#arrivalInterface(ends),
  ): Kind | undefined {
    let best: { readonly socket: Kind; readonly specificity: number } | undefined
    for (const socket of this.#sockets.values()) {
      if (!(socket instanceof kind) || socket.listening === undefined) continue
      const { end } = socket.listening
      if (!covers(end, ends.forwardingAddress, ends.forwardingPort, interfaceName)) continue
      const found = { socket, specificity: specificity(end) }
      if (best === undefined || found.specificity > best.specificity) best = found
    }
    return best?.socket
  }

  /**
   * The UDP socket for datagrams between the ends: the one that is connected so, or the most specific of the others.
   */
  findUdp(ends: Demiflow, interfaceName: string = this.#arrivalInterface(ends)): UdpSocket | undefined {
    let best: UnconnectedUdpSocket | undefined
    for (const socket of this.#sockets.values()) {
      if (socket instanceof UnconnectedUdpSocket) {
        if (!covers(socket.end, ends.forwardingAddress, ends.forwardingPort, interfaceName)) continue
        if (best === undefined || specificity(socket.end) > specificity(best.end)) best = socket
      } else if (socket instanceof UdpSocket && socket.demiflow.equals(ends)) return socket
    }
    return best
  }

  #arrivalInterface({ forwardingAddress }: Demiflow): string {
    return forwardingAddress.isLoopback ? "lo" : this.#interfaces[0]
  }

  #isListenedAt(end: ListeningEnd, kind: ListeningKind<SimulatedSocket>): boolean {
    for (const socket of this.#sockets.values()) {
      const other = socket instanceof kind ? socket.listening?.end : undefined
      if (other !== undefined && areInConflict(end, other)) return true
    }
    return false
  }

  /** True if a UDP socket's end overlaps with this one. */
  #isHeld(end: ListeningEnd): boolean {
    for (const socket of this.#sockets.values()) {
      if (!(socket instanceof UdpSocket)) continue
      const { forwardingAddress: address, forwardingPort: port } = socket.demiflow
      const connected = { address, port, interfaceName: undefined, freebind: false }
      if (areInConflict(end, socket instanceof UnconnectedUdpSocket ? socket.end : connected)) return true
    }
    return false
  }

  #isTaken(bound: Demiflow, kind: ConnectedKind): boolean {
    const { forwardingAddress, forwardingPort } = bound
    const address = forwardingAddress
    if (kind === UdpSocket) {
      return this.#isHeld({ address, port: forwardingPort, interfaceName: undefined, freebind: false })
    }
    for (const socket of this.#sockets.values()) {
      if (socket instanceof kind) {
        const { demiflow } = socket
        if (demiflow.forwardingPort !== forwardingPort) continue
        if (!demiflow.forwardingAddress.equals(forwardingAddress)) continue
        if (kind !== TcpSocket || isSameCorrespondent(demiflow, bound)) return true
      } else if (kind === TcpSocket && socket instanceof TcpListeningSocket) {
        const { end } = socket.listening
        if (covers(end, forwardingAddress, forwardingPort, end.interfaceName ?? "")) return true
      }
    }
    return false
  }

  #isOwn(address: Readonly<Address>): boolean {
    return address.isLoopback || this.#addresses.some((own) => own.equals(address))
  }
}

function isSameCorrespondent(one: Demiflow, other: Demiflow): boolean {
  return (
    one.correspondentPort === other.correspondentPort && one.correspondentAddress.equals(other.correspondentAddress)
  )
}
