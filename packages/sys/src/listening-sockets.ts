/**
 * Sockets of the host that listen.
 *
 * A TCP socket listens with SO_REUSEADDR: connections of its predecessor, open or in TIME_WAIT, don't keep the port, another
 * listening socket does. For UDP, SO_REUSEADDR would let two programs listen at one port, one of which hears nothing: a UDP
 * socket never has it, and its port is its own. All that it sends and hears goes by it, to and from all correspondents.
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
import type { HostSockets } from "./host-sockets.ts"
import { readSocketAddress, SOCKET_ADDRESS_BYTES } from "./socket-address.ts"

/**
 * Connections that wait at most; `net.core.somaxconn` may say less. Of a crowd that comes at once, who finds no place tries
 * again after 1, 3, 7 and 15 seconds.
 */
const BACKLOG = 1024
/** Longest interface name, with its end. */
const DEVICE_NAME_BYTES = 16

/** What is remembered of a listening socket. */
export interface Listening {
  readonly end: ListeningEnd
  readonly protocol: number
  /** The socket's own family: that of a dual-stack socket is IPv6. */
  readonly isV4: boolean
}

/** Opens them, and knows what they are bound to. */
export class ListeningSockets {
  readonly #sockets: HostSockets
  readonly #addressOffset: number
  readonly #deviceOffset: number
  readonly #listening = new Map<number, Listening>()

  constructor(sockets: HostSockets) {
    this.#sockets = sockets
    this.#addressOffset = sockets.arena.reserve(SOCKET_ADDRESS_BYTES, 8)
    this.#deviceOffset = sockets.arena.reserve(DEVICE_NAME_BYTES, 8)
  }

  /** What a listening socket is bound to; undefined for any other. */
  get(socket: number): Listening | undefined {
    return this.#listening.get(socket)
  }

  /** A TCP socket that listens, or a negated errno. Not watched yet. `setOptions` is called before it listens. */
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

  /** Takes a connection; its socket, or a negated errno. */
  accept(listening: Socket, demiflow: Demiflow): number {
    const { native, arena } = this.#sockets
    const known = this.#listening.get(listening)
    const accepted = native.accept(listening, this.#addressOffset, SOCKET_ADDRESS_BYTES)
    if (accepted < 0) return accepted
    const port = readSocketAddress(arena.view, this.#addressOffset, demiflow.correspondentAddress)
    demiflow.correspondentPort = Math.max(0, port)
    // What can't be otherwise needn't be asked for.
    if (known?.end.address?.isUnspecified === false) {
      demiflow.forwardingAddress.copyFrom(known.end.address)
      demiflow.forwardingPort = known.end.port
      return accepted
    }
    const result = this.#sockets.boundEnd(accepted as Socket, demiflow)
    return result < 0 ? this.#sockets.abandon(accepted, result) : accepted
  }

  /** A bound UDP socket that says with each datagram where it went, or a negated errno. Not watched yet. */
  listenUdp(end: ListeningEnd): number {
    const { native } = this.#sockets
    const descriptor = this.#open(end, SocketType.datagram, SocketProtocol.udp)
    if (descriptor < 0) return descriptor
    // Of an IPv4 datagram, a dual-stack socket reports both, and the first says more: which address of the host a group's is on.
    if (end.address?.isV4 !== false) {
      native.setOptionInteger(descriptor, SocketLevel.ip, IpOption.packetInformation, 1)
    }
    native.setOptionInteger(descriptor, SocketLevel.ipv6, Ipv6Option.receivePacketInformation, 1)
    const result = this.#bind(descriptor, end)
    if (result < 0) return this.#abandon(descriptor, result)
    // Answers may leave from addresses that are the host's by a route alone, and binding was as strict as the end says.
    if (end.address?.isV4 !== true) {
      this.#setFreebind(descriptor, false)
      this.#sockets.chooseGroupInterface(descriptor)
    }
    return descriptor
  }

  /** The socket is closed. */
  forget(socket: number): void {
    this.#listening.delete(socket)
  }

  /** A socket for the end's family, without anything that depends on the protocol. */
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
    // The kernel would cut it short.
    if (bytes.length === 0 || bytes.length >= DEVICE_NAME_BYTES) return -Errno.ENODEV
    arena.bytes.set(bytes, this.#deviceOffset)
    return native.setOption(descriptor, SocketLevel.socket, SocketOption.bindToDevice, this.#deviceOffset, bytes.length)
  }

  #abandon(descriptor: number, error: number): number {
    this.forget(descriptor)
    return this.#sockets.abandon(descriptor, error)
  }
}
