/**
 * Which addresses and ports sockets of the simulated host may have, and which of them listens at an end: as Linux has it,
 * for sockets that are opened as `@demiflow/sys` opens them.
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

/** The host's addresses, and who is bound to them. Errors are answered as negated error numbers. */
export class Bindings {
  readonly #sockets: ReadonlyMap<number, SimulatedSocket>
  readonly #addresses: readonly Address[]
  readonly #interfaces: readonly string[]
  #nextPort = FIRST_EPHEMERAL_PORT

  /**
   * @param sockets those that are open
   * @param addresses the first of each family is where the host connects from
   * @param interfaces what arrives from outside arrives over the first
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
   * The forwarding end of a UDP socket that isn't connected, which no other socket may have a part of: without SO_REUSEADDR.
   */
  bindUnconnected({ forwardingAddress: address, forwardingPort }: Demiflow): ListeningEnd | Socket {
    if (!address.isUnspecified && !this.#isOwn(address)) return -Errno.EADDRNOTAVAIL as Socket
    const end = { address, port: forwardingPort, interfaceName: undefined, freebind: false }
    if (forwardingPort !== 0) return this.#isHeld(end) ? (-Errno.EADDRINUSE as Socket) : end
    do end.port = this.#takeEphemeralPort()
    while (this.#isHeld(end))
    return end
  }

  /** The forwarding end from which a socket that isn't connected sends to the demiflow's correspondent, or no socket. */
  sourceOf(end: ListeningEnd, demiflow: Demiflow): Demiflow | Socket {
    const ends = demiflow.clone()
    ends.forwardingPort = end.port
    if (ends.forwardingAddress.isUnspecified && end.address?.isUnspecified === false) {
      ends.forwardingAddress.copyFrom(end.address)
    }
    // Linux has a way from ::1 to everywhere.
    if (ends.isV4 && ends.forwardingAddress.isLoopback && !ends.correspondentAddress.isLoopback) {
      return -Errno.EINVAL as Socket
    }
    return this.#withOwnAddress(ends)
  }

  /** The demiflow with its forwarding end filled in, for a socket that nobody else's end may be shared with. */
  bindAlone(demiflow: Demiflow, kind: ConnectedKind): Demiflow | Socket {
    const bound = this.#withOwnAddress(demiflow.clone())
    if (typeof bound === "number") return bound
    if (bound.forwardingPort !== 0) return this.#isTaken(bound, kind) ? (-Errno.EADDRINUSE as Socket) : bound
    do {
      bound.forwardingPort = this.#takeEphemeralPort()
    } while (this.#isTaken(bound, kind))
    return bound
  }

  /** The forwarding end of a ping socket, whose identifier no other one of this version of IP may have. */
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

  /** The socket that listens for what arrives between the ends; the most particular, if there are several. */
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

  /** The UDP socket for what arrives between the ends: the one that is connected so, or the most particular of the others. */
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

  /** Whether a UDP socket has a part of the end. */
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
