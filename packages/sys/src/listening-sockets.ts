/**
 * Listening sockets of the host.
 *
 * A TCP socket listens with SO_REUSEADDR: connections of a predecessor, open or in TIME_WAIT, don't keep the port busy;
 * another listening socket does. For UDP, SO_REUSEADDR would let two programs listen at one port, one of which receives
 * nothing. So a UDP socket never has the option, and its port is exclusive. It sends and receives all its datagrams, of
 * all correspondents, by that one socket.
 */
import {
  type Address,
  type Demiflow,
  Errno,
  isShortage,
  type ListeningEnd,
  type Socket,
  UNSPECIFIED_V4,
  UNSPECIFIED_V6,
} from "@demiflow/core"
import {
  AddressFamily,
  IpOption,
  Ipv6Option,
  SocketLevel,
  SocketOption,
  SocketProtocol,
  SocketType,
} from "./constants.ts"
import { readSocketAddress, SOCKET_ADDRESS_BYTES } from "./socket-address.ts"
import type { SocketOpener } from "./socket-opener.ts"

/**
 * Connections that wait at most; `net.core.somaxconn` may be lower. When many arrive at once, one that doesn't fit
 * retries after 1, 3, 7 and 15 seconds.
 */
const BACKLOG = 1024
/** Longest interface name, with its final zero. */
const DEVICE_NAME_BYTES = 16

/** What is recorded about a listening socket. */
export interface Listening {
  readonly end: ListeningEnd
  readonly protocol: number
  /** The socket's own family: IPv6 for a dual-stack socket. */
  readonly isV4: boolean
}

/** Opens listening sockets, and records what they are bound to. */
export class ListeningSockets {
  readonly #sockets: SocketOpener
  readonly #addressOffset: number
  readonly #deviceOffset: number
  readonly #listening = new Map<number, Listening>()

  constructor(sockets: SocketOpener) {
    this.#sockets = sockets
    this.#addressOffset = sockets.arena.reserve(SOCKET_ADDRESS_BYTES, 8, "the sockets of Linux")
    this.#deviceOffset = sockets.arena.reserve(DEVICE_NAME_BYTES, 8, "the sockets of Linux")
  }

  /** What a listening socket is bound to; undefined for any other socket. */
  get(socket: number): Listening | undefined {
    return this.#listening.get(socket)
  }

  /**
   * Opens a TCP socket that listens. Returns the descriptor, not watched yet, or a negated errno. `setOptions` is
   * called before it listens.
   */
  listenTcp(end: ListeningEnd, setOptions: (descriptor: number) => void): number {
    const { native } = this.#sockets
    const descriptor = this.#open(end, SocketType.stream, SocketProtocol.tcp)
    if (descriptor < 0) return descriptor
    native.setOptionInteger(descriptor, SocketLevel.socket, SocketOption.reuseAddress, 1)
    setOptions(descriptor)
    let result = this.#bind(descriptor, end)
    if (result === 0) result = native.listen(descriptor, BACKLOG)
    return result < 0 ? this.#abandon(descriptor, result) : descriptor
  }

  /** Accepts a connection. Returns its socket, or a negated errno. */
  accept(listening: Socket, demiflow: Demiflow): number {
    const { native, arena } = this.#sockets
    const known = this.#listening.get(listening)
    const accepted = native.accept(listening, this.#addressOffset, SOCKET_ADDRESS_BYTES)
    if (accepted < 0) return accepted
    const port = readSocketAddress(arena.view, this.#addressOffset, demiflow.correspondentAddress)
    demiflow.correspondentPort = Math.max(0, port)
    // The address is known: the socket is bound to one.
    if (known?.end.address?.isUnspecified === false) {
      demiflow.forwardingAddress.copyFrom(known.end.address)
      demiflow.forwardingPort = known.end.port
      return accepted
    }
    const result = this.#sockets.boundEnd(accepted as Socket, demiflow)
    return result < 0 ? this.#sockets.abandon(accepted, result) : accepted
  }

  /**
   * Opens a bound UDP socket that reports the destination of each datagram. Returns the descriptor, not watched yet, or
   * a negated errno.
   */
  listenUdp(end: ListeningEnd): number {
    const { native } = this.#sockets
    const descriptor = this.#open(end, SocketType.datagram, SocketProtocol.udp)
    if (descriptor < 0) return descriptor
    // For an IPv4 datagram, a dual-stack socket reports both structures. The IPv4 one says more: on which address of
    // the host a group's datagram arrived.
    if (end.address?.isV4 !== false) {
      native.setOptionInteger(descriptor, SocketLevel.ip, IpOption.packetInformation, 1)
    }
    native.setOptionInteger(descriptor, SocketLevel.ipv6, Ipv6Option.receivePacketInformation, 1)
    const result = this.#bind(descriptor, end)
    if (result < 0) return this.#abandon(descriptor, result)
    // IPV6_FREEBIND lets replies leave from addresses that are the host's by a route alone. Set only after binding,
    // which is as strict as the end requires.
    if (end.address?.isV4 !== true) {
      this.#setFreebind(descriptor, false)
      this.#sockets.chooseGroupInterface(descriptor)
    }
    return descriptor
  }

  /** Drops the record of a socket that has been closed. */
  forget(socket: number): void {
    this.#listening.delete(socket)
  }

  /** Opens a socket for the end's family, without anything that depends on the protocol. */
  #open(end: ListeningEnd, type: (typeof SocketType)[keyof typeof SocketType], protocol: number): number {
    const { native } = this.#sockets
    let isV4 = end.address?.isV4 ?? false
    let descriptor = this.#sockets.openAnyway(isV4 ? AddressFamily.ipv4 : AddressFamily.ipv6, type, protocol)
    if (descriptor < 0 && !isShortage(-descriptor) && end.address === undefined) {
      // A kernel without IPv6, or a sandbox that forbids it.
      isV4 = true
      descriptor = this.#sockets.openAnyway(AddressFamily.ipv4, type, protocol)
    }
    if (descriptor < 0) return descriptor
    if (!isV4) {
      native.setOptionInteger(descriptor, SocketLevel.ipv6, Ipv6Option.only, end.address === undefined ? 0 : 1)
    }
    if (end.freebind) this.#setFreebind(descriptor, isV4)
    const result = end.interfaceName === undefined ? 0 : this.#bindToDevice(descriptor, end.interfaceName)
    if (result < 0) return this.#sockets.abandon(descriptor, result)
    this.#listening.set(descriptor, { end, protocol, isV4 })
    return descriptor
  }

  #bind(descriptor: number, end: ListeningEnd): number {
    const any = this.#listening.get(descriptor)?.isV4 ? UNSPECIFIED_V4 : UNSPECIFIED_V6
    const address: Readonly<Address> = end.address ?? any
    return this.#sockets.bindHere(descriptor, address, end.port)
  }

  #setFreebind(descriptor: number, isV4: boolean): void {
    const { native } = this.#sockets
    if (isV4) native.setOptionInteger(descriptor, SocketLevel.ip, IpOption.freebind, 1)
    else native.setOptionInteger(descriptor, SocketLevel.ipv6, Ipv6Option.freebind, 1)
  }

  #bindToDevice(descriptor: number, name: string): number {
    const { native, arena } = this.#sockets
    const bytes = new TextEncoder().encode(name)
    // The kernel would truncate the name.
    if (bytes.length === 0 || bytes.length >= DEVICE_NAME_BYTES) return -Errno.ENODEV
    arena.bytes.set(bytes, this.#deviceOffset)
    return native.setOption(descriptor, SocketLevel.socket, SocketOption.bindToDevice, this.#deviceOffset, bytes.length)
  }

  #abandon(descriptor: number, error: number): number {
    this.forget(descriptor)
    return this.#sockets.abandon(descriptor, error)
  }
}
