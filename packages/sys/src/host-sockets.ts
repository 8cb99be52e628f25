/** What TCP, UDP and ping sockets of the host have in common: how they come into being, their names, their end. */
import {
  type Address,
  type Arena,
  type Demiflow,
  Errno,
  type ListenerRef,
  type SideRef,
  type Socket,
} from "@demiflow/core"
import {
  AddressFamily,
  EpollEvent,
  IpOption,
  Ipv6Option,
  SocketLevel,
  SocketOption,
  SocketProtocol,
  SocketType,
} from "./constants.ts"
import { DescriptorShare, type DescriptorShares } from "./descriptor-shares.ts"
import type { EventLoop } from "./event-loop.ts"
import type { NamespaceSockets } from "./namespace/sockets.ts"
import type { Native } from "./native.ts"
import { readSocketAddress, SOCKET_ADDRESS_BYTES, writeSocketAddress } from "./socket-address.ts"

/** Which way sockets leave the host. */
export interface OutboundOptions {
  /** Where sockets come from: another network namespace. This thread's own if absent. */
  readonly sockets?: NamespaceSockets
  /** Interface that IPv4 sockets are bound to (SO_BINDTODEVICE); any if absent. */
  readonly interfaceV4?: string
  /** Interface that IPv6 sockets are bound to; any if absent. */
  readonly interfaceV6?: string
  /** Index of the interface on which link-local IPv6 addresses are, the kernel's choice if absent. */
  readonly linkLocalScope?: number
  /** A link-local IPv6 address that is on an interface of its own. */
  readonly scopedAddress?: { readonly address: Address; readonly scope: number }
}

/** Of sockets that send datagrams, room is no event: it would be reported with each datagram that has left. Listeners have none. */
const DATAGRAM_EVENTS = EpollEvent.readable | EpollEvent.edgeTriggered
const STREAM_EVENTS = DATAGRAM_EVENTS | EpollEvent.urgent | EpollEvent.writable | EpollEvent.readEnd
/** Longest interface name, with its end. */
const DEVICE_NAME_BYTES = 16
const LOOPBACK_DEVICE = "lo"

/** Opens, binds, connects, watches and closes. */
export class HostSockets {
  readonly native: Native
  readonly arena: Arena
  readonly #loop: EventLoop
  readonly #shares: DescriptorShares
  readonly #addressOffset: number
  readonly #deviceV4: number
  readonly #deviceV6: number
  readonly #deviceLengthV4: number
  readonly #deviceLengthV6: number
  readonly #loopbackDevice: number
  readonly #linkLocalScope: number
  readonly #scopedAddress: OutboundOptions["scopedAddress"]
  readonly #inNamespace: NamespaceSockets | undefined
  readonly #exchangeShare: (typeof DescriptorShare)[keyof typeof DescriptorShare]

  constructor(native: Native, arena: Arena, loop: EventLoop, shares: DescriptorShares, outbound: OutboundOptions) {
    this.native = native
    this.arena = arena
    this.#loop = loop
    this.#shares = shares
    this.#addressOffset = arena.reserve(SOCKET_ADDRESS_BYTES, 8)
    this.#deviceV4 = arena.reserve(DEVICE_NAME_BYTES, 8)
    this.#deviceV6 = arena.reserve(DEVICE_NAME_BYTES, 8)
    this.#deviceLengthV4 = this.#writeDevice(this.#deviceV4, outbound.interfaceV4)
    this.#deviceLengthV6 = this.#writeDevice(this.#deviceV6, outbound.interfaceV6)
    this.#loopbackDevice = arena.reserve(DEVICE_NAME_BYTES, 8)
    this.#writeDevice(this.#loopbackDevice, LOOPBACK_DEVICE)
    this.#linkLocalScope = outbound.linkLocalScope ?? 0
    this.#scopedAddress = outbound.scopedAddress
    this.#inNamespace = outbound.sockets
    // What is opened for one begins at the other end: towards a namespace, outside.
    this.#exchangeShare = outbound.sockets === undefined ? DescriptorShare.exchanges : DescriptorShare.fromOutside
  }

  /** An unbound socket for the demiflow's family, or a negated errno. For datagrams, within the share of exchanges. */
  open(demiflow: Demiflow, type: (typeof SocketType)[keyof typeof SocketType], protocol: number): number {
    const isV4 = demiflow.isV4
    const family = isV4 ? AddressFamily.ipv4 : AddressFamily.ipv6
    const descriptor = this.openAnyway(family, type, protocol)
    if (descriptor < 0) return descriptor
    // The number says whether there is one for an exchange: nothing more is done for one too many.
    if (type === SocketType.datagram && !this.#shares.allows(this.#exchangeShare, descriptor)) {
      return this.abandon(descriptor, -Errno.EMFILE)
    }
    const deviceLength = isV4 ? this.#deviceLengthV4 : this.#deviceLengthV6
    // The way to the host itself leads through no other interface than its own.
    if (deviceLength === 0 || demiflow.correspondentAddress.isLoopback) return descriptor
    const device = isV4 ? this.#deviceV4 : this.#deviceV6
    const result = this.native.setOption(
      descriptor,
      SocketLevel.socket,
      SocketOption.bindToDevice,
      device,
      deviceLength,
    )
    if (result === 0) return descriptor
    this.native.close(descriptor)
    return result
  }

  /** True if sockets that leave the host are held to an interface. */
  isHeld(isV4: boolean): boolean {
    return (isV4 ? this.#deviceLengthV4 : this.#deviceLengthV6) > 0
  }

  /**
   * As {@link HostSockets.open}, for a socket with many correspondents. Where those of the outside are held to an interface,
   * the others are held to the loopback interface: both may have one port then.
   */
  openShared(demiflow: Demiflow, type: (typeof SocketType)[keyof typeof SocketType], protocol: number): number {
    const descriptor = this.open(demiflow, type, protocol)
    if (descriptor < 0 || !demiflow.correspondentAddress.isLoopback || !this.isHeld(demiflow.isV4)) return descriptor
    const { native } = this
    const length = LOOPBACK_DEVICE.length
    const { socket: level } = SocketLevel
    const result = native.setOption(descriptor, level, SocketOption.bindToDevice, this.#loopbackDevice, length)
    return result < 0 ? this.abandon(descriptor, result) : descriptor
  }

  /** An unbound socket that isn't held to the way out of the host, or a negated errno. */
  openAnyway(family: number, type: (typeof SocketType)[keyof typeof SocketType], protocol: number): number {
    const descriptor =
      this.#inNamespace === undefined
        ? this.native.socket(family, type, protocol)
        : this.#inNamespace.open(family, type, protocol)
    this.#shares.made(descriptor)
    return descriptor
  }

  /** Lets TCP sockets with several correspondents have one port, as long as none of them listens. */
  shareAddress(descriptor: number): void {
    this.native.setOptionInteger(descriptor, SocketLevel.socket, SocketOption.reuseAddress, 1)
  }

  /** Binds to the address and port as far as they are given: nothing to do for neither. */
  bind(descriptor: number, address: Address, port: number, protocol: number): number {
    if (port === 0) {
      if (address.isUnspecified) return 0
      // The kernel then chooses the port at connect(), when it knows the other end: the same port serves many.
      if (protocol === SocketProtocol.tcp || protocol === SocketProtocol.udp) {
        this.native.setOptionInteger(descriptor, SocketLevel.ip, IpOption.bindAddressNoPort, 1)
      }
    }
    return this.bindHere(descriptor, address, port)
  }

  /**
   * Binds to just this address and port.
   *
   * @param scope index of the interface on which a link-local IPv6 address is; 0: the one that all are on
   */
  bindHere(descriptor: number, address: Readonly<Address>, port: number, scope = 0): number {
    const length = this.#write(address, port, scope)
    const result = this.native.bind(descriptor, this.#addressOffset, length)
    if (result !== -Errno.EACCES || this.#inNamespace === undefined) return result
    return this.#inNamespace.bind(descriptor, this.#addressOffset, length)
  }

  /** Connects to the demiflow's correspondent end; `scope` as above. */
  connect(descriptor: number, demiflow: Demiflow, scope = 0): number {
    const length = this.#write(demiflow.correspondentAddress, demiflow.correspondentPort, scope)
    return this.native.connect(descriptor, this.#addressOffset, length)
  }

  /** Reports a TCP socket's events to the side. Closes the socket when that fails. */
  watchStream(descriptor: number, side: SideRef): Socket {
    return this.#watch(descriptor, STREAM_EVENTS, side)
  }

  /** Reports a UDP or ping socket's events to the side. Closes the socket when that fails. */
  watchDatagrams(descriptor: number, side: SideRef): Socket {
    return this.#watch(descriptor, DATAGRAM_EVENTS, side)
  }

  /** Reports an accepted socket's events to the side: 0, or a negated errno, with which the socket stays open. */
  watchAccepted(socket: Socket, side: SideRef): number {
    return this.#loop.watchFlow(socket, STREAM_EVENTS, side)
  }

  /** Reports to the listener what waits at its socket. Closes the socket when that fails. */
  watchListener(descriptor: number, listener: ListenerRef): Socket {
    const result = this.#loop.watchListener(descriptor, DATAGRAM_EVENTS, listener)
    return result < 0 ? this.abandon(descriptor, result) : (descriptor as Socket)
  }

  #watch(descriptor: number, events: number, side: SideRef): Socket {
    const result = this.#loop.watchFlow(descriptor, events, side)
    return result < 0 ? this.abandon(descriptor, result) : (descriptor as Socket)
  }

  /** Closes a socket that never got to anybody, and passes the error on. */
  abandon(descriptor: number, error: number): Socket {
    this.native.close(descriptor)
    return error as Socket
  }

  /** As core's `Host`. */
  setHopLimit(socket: number, isV4: boolean, hopLimit: number): number {
    const value = hopLimit === 0 ? -1 : hopLimit
    return isV4
      ? this.native.setOptionInteger(socket, SocketLevel.ip, IpOption.timeToLive, value)
      : this.native.setOptionInteger(socket, SocketLevel.ipv6, Ipv6Option.unicastHops, value)
  }

  /** As core's `Host`. */
  setTrafficClass(socket: number, isV4: boolean, trafficClass: number): number {
    return isV4
      ? this.native.setOptionInteger(socket, SocketLevel.ip, IpOption.typeOfService, trafficClass)
      : this.native.setOptionInteger(socket, SocketLevel.ipv6, Ipv6Option.trafficClass, trafficClass)
  }

  /**
   * Has a socket send to IPv6 groups by the interface on which link-local addresses are: for the kernel, all of them are on every
   * interface alike. IPv4 groups are routed.
   */
  chooseGroupInterface(socket: number): void {
    if (this.#linkLocalScope === 0) return
    this.native.setOptionInteger(socket, SocketLevel.ipv6, Ipv6Option.multicastInterface, this.#linkLocalScope)
  }

  /** Whether what routers report is queued, for {@link ErrorQueue}. */
  queueErrors(socket: number, isV4: boolean, isOn: boolean): number {
    return isV4
      ? this.native.setOptionInteger(socket, SocketLevel.ip, IpOption.receiveErrors, isOn ? 1 : 0)
      : this.native.setOptionInteger(socket, SocketLevel.ipv6, Ipv6Option.receiveErrors, isOn ? 1 : 0)
  }

  socketError(socket: Socket): number {
    const error = this.native.getOptionInteger(socket, SocketLevel.socket, SocketOption.error)
    return error > 0 ? -error : error
  }

  boundEnd(socket: Socket, demiflow: Demiflow): number {
    const length = this.native.getSocketName(socket, this.#addressOffset, SOCKET_ADDRESS_BYTES)
    if (length < 0) return length
    const port = readSocketAddress(this.arena.view, this.#addressOffset, demiflow.forwardingAddress)
    if (port < 0) return -Errno.EINVAL
    demiflow.forwardingPort = port
    return 0
  }

  close(socket: Socket): void {
    this.#loop.forget(socket)
    this.native.close(socket)
  }

  /** Reports events of a watched socket to another side from now on. */
  handOver(socket: Socket, side: SideRef): void {
    this.#loop.handOver(socket, side)
  }

  /**
   * Writes a socket address; answers its length.
   *
   * @param scope as for {@link HostSockets.connect}
   */
  writeName(offset: number, address: Readonly<Address>, port: number, scope: number): number {
    return writeSocketAddress(this.arena.view, offset, address, port, this.scopeFor(address, scope))
  }

  /** Index of the interface on which an address is; 0 if any. */
  scopeFor(address: Readonly<Address>, scope: number): number {
    return address.isLinkLocal ? scope || this.#scopeOf(address) : 0
  }

  #write(address: Readonly<Address>, port: number, scope = 0): number {
    return this.writeName(this.#addressOffset, address, port, scope)
  }

  #scopeOf(address: Readonly<Address>): number {
    return this.#scopedAddress?.address.equals(address as Address) ? this.#scopedAddress.scope : this.#linkLocalScope
  }

  #writeDevice(offset: number, name: string | undefined): number {
    if (name === undefined) return 0
    const bytes = new TextEncoder().encode(name)
    if (bytes.length >= DEVICE_NAME_BYTES) throw new RangeError(`"${name}" is too long for an interface name`)
    this.arena.bytes.set(bytes, offset)
    return bytes.length
  }
}
