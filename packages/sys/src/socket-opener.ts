/** The part that TCP, UDP and ping sockets of the host have in common: opening, binding, addresses, closing. */
import {
  type Address,
  type Arena,
  type Demiflow,
  Errno,
  type ListenerRef,
  type SideRef,
  type Socket,
  type SocketEvents,
  SocketsInUseError,
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
import { type EventLoop, NO_RECEIVER, type ReceiverRef } from "./event-loop.ts"
import type { NamespaceSockets } from "./namespace/sockets.ts"
import type { Native } from "./native.ts"
import { readSocketAddress, SOCKET_ADDRESS_BYTES, writeSocketAddress } from "./socket-address.ts"

/** How sockets leave the host. */
export interface OutboundOptions {
  /** Opens the sockets in another network namespace. If absent, they are opened in this thread's own. */
  readonly sockets?: NamespaceSockets
  /** Interface that IPv4 sockets are bound to (SO_BINDTODEVICE); if absent, any. */
  readonly interfaceV4?: string
  /** Interface that IPv6 sockets are bound to; if absent, any. */
  readonly interfaceV6?: string
  /** Index of the interface with the link-local IPv6 addresses; if absent, the kernel chooses. */
  readonly linkLocalScope?: number
  /** A link-local IPv6 address on an interface of its own. */
  readonly scopedAddress?: { readonly address: Address; readonly scope: number }
}

/**
 * Without "writable" for sockets that send datagrams: it would be reported after each datagram that has left. Listeners
 * are never writable.
 */
const DATAGRAM_EVENTS = EpollEvent.readable | EpollEvent.edgeTriggered
const STREAM_EVENTS = DATAGRAM_EVENTS | EpollEvent.urgent | EpollEvent.writable | EpollEvent.readEnd
/** Longest interface name, with its final zero. */
const DEVICE_NAME_BYTES = 16
const LOOPBACK_DEVICE = "lo"

/** Opens, binds, connects, watches and closes sockets. */
export class SocketOpener {
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
  #receiver: ReceiverRef = NO_RECEIVER

  constructor(native: Native, arena: Arena, loop: EventLoop, shares: DescriptorShares, outbound: OutboundOptions) {
    this.native = native
    this.arena = arena
    this.#loop = loop
    this.#shares = shares
    this.#addressOffset = arena.reserve(SOCKET_ADDRESS_BYTES, 8, "the sockets of Linux")
    this.#deviceV4 = arena.reserve(DEVICE_NAME_BYTES, 8, "the sockets of Linux")
    this.#deviceV6 = arena.reserve(DEVICE_NAME_BYTES, 8, "the sockets of Linux")
    this.#deviceLengthV4 = this.#writeDevice(this.#deviceV4, outbound.interfaceV4)
    this.#deviceLengthV6 = this.#writeDevice(this.#deviceV6, outbound.interfaceV6)
    this.#loopbackDevice = arena.reserve(DEVICE_NAME_BYTES, 8, "the sockets of Linux")
    this.#writeDevice(this.#loopbackDevice, LOOPBACK_DEVICE)
    this.#linkLocalScope = outbound.linkLocalScope ?? 0
    this.#scopedAddress = outbound.scopedAddress
    this.#inNamespace = outbound.sockets
    // Exchanges begin at the other end: for sockets in a namespace, outside.
    this.#exchangeShare = outbound.sockets === undefined ? DescriptorShare.exchanges : DescriptorShare.fromOutside
  }

  /**
   * Opens an unbound socket for the demiflow's family; sockets for datagrams only within the share of exchanges.
   * Returns the descriptor, or a negated errno.
   */
  open(demiflow: Demiflow, type: (typeof SocketType)[keyof typeof SocketType], protocol: number): number {
    const isV4 = demiflow.isV4
    const family = isV4 ? AddressFamily.ipv4 : AddressFamily.ipv6
    const descriptor = this.openAnyway(family, type, protocol)
    if (descriptor < 0) return descriptor
    // The descriptor's number decides whether the share has room. A socket beyond the share is closed at once.
    if (type === SocketType.datagram && !this.#shares.allows(this.#exchangeShare, descriptor)) {
      return this.abandon(descriptor, -Errno.EMFILE)
    }
    const deviceLength = isV4 ? this.#deviceLengthV4 : this.#deviceLengthV6
    // The host itself is reached by the loopback interface only.
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

  /** True if sockets that leave the host are bound to an interface. */
  isHeld(isV4: boolean): boolean {
    return (isV4 ? this.#deviceLengthV4 : this.#deviceLengthV6) > 0
  }

  /**
   * As {@link SocketOpener.open}, for a socket with many correspondents. Where sockets to the outside are bound to an
   * interface, those to the host itself are bound to the loopback interface: two such sockets can then have the same
   * port.
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

  /** Opens an unbound socket that isn't bound to the outbound interface. Returns the descriptor, or a negated errno. */
  openAnyway(family: number, type: (typeof SocketType)[keyof typeof SocketType], protocol: number): number {
    const descriptor =
      this.#inNamespace === undefined
        ? this.native.socket(family, type, protocol)
        : this.#inNamespace.open(family, type, protocol)
    this.#shares.made(descriptor)
    return descriptor
  }

  /** Lets TCP sockets with different correspondents share a port, provided that none of them listens. */
  shareAddress(descriptor: number): void {
    this.native.setOptionInteger(descriptor, SocketLevel.socket, SocketOption.reuseAddress, 1)
  }

  /** Binds to the address and port, if given; does nothing if neither is. */
  bind(descriptor: number, address: Address, port: number, protocol: number): number {
    if (port === 0) {
      if (address.isUnspecified) return 0
      // Defers the choice of a port to connect(), where the kernel knows the other end: one port then serves many.
      if (protocol === SocketProtocol.tcp || protocol === SocketProtocol.udp) {
        this.native.setOptionInteger(descriptor, SocketLevel.ip, IpOption.bindAddressNoPort, 1)
      }
    }
    return this.bindHere(descriptor, address, port)
  }

  /**
   * Binds to exactly this address and port.
   *
   * @param scope index of the interface on which a link-local IPv6 address is; 0: the one with all link-local addresses
   */
  bindHere(descriptor: number, address: Readonly<Address>, port: number, scope = 0): number {
    const length = this.#write(address, port, scope)
    const result = this.native.bind(descriptor, this.#addressOffset, length)
    if (result !== -Errno.EACCES || this.#inNamespace === undefined) return result
    return this.#inNamespace.bind(descriptor, this.#addressOffset, length)
  }

  /** Connects to the demiflow's correspondent end; `scope` as in `bindHere`. */
  connect(descriptor: number, demiflow: Demiflow, scope = 0): number {
    const length = this.#write(demiflow.correspondentAddress, demiflow.correspondentPort, scope)
    return this.native.connect(descriptor, this.#addressOffset, length)
  }

  /** Watches a TCP socket and reports its events to the side. Closes the socket on failure. */
  watchStream(descriptor: number, side: SideRef): Socket {
    return this.#watch(descriptor, STREAM_EVENTS, side)
  }

  /** See core's `Sockets`. */
  deliverTo(events: SocketEvents | undefined): void {
    if (events !== undefined && this.#receiver !== NO_RECEIVER) throw new SocketsInUseError()
    if (this.#receiver !== NO_RECEIVER) this.#loop.removeReceiver(this.#receiver)
    this.#receiver = events === undefined ? NO_RECEIVER : this.#loop.addReceiver(events)
  }

  /** Watches a UDP or ping socket and reports its events to the side. Closes the socket on failure. */
  watchDatagrams(descriptor: number, side: SideRef): Socket {
    return this.#watch(descriptor, DATAGRAM_EVENTS, side)
  }

  /**
   * Watches an accepted socket and reports its events to the side. Returns 0, or a negated errno; the socket then stays
   * open.
   */
  watchAccepted(socket: Socket, side: SideRef): number {
    return this.#loop.watchFlow(socket, STREAM_EVENTS, side, this.#receiver)
  }

  /** Watches a listening socket and reports its events to the listener. Closes the socket on failure. */
  watchListener(descriptor: number, listener: ListenerRef): Socket {
    const result = this.#loop.watchListener(descriptor, DATAGRAM_EVENTS, listener, this.#receiver)
    return result < 0 ? this.abandon(descriptor, result) : (descriptor as Socket)
  }

  #watch(descriptor: number, events: number, side: SideRef): Socket {
    const result = this.#loop.watchFlow(descriptor, events, side, this.#receiver)
    return result < 0 ? this.abandon(descriptor, result) : (descriptor as Socket)
  }

  /** Closes a socket that was never handed out, and returns the error. */
  abandon(descriptor: number, error: number): Socket {
    this.native.close(descriptor)
    return error as Socket
  }

  /** See core's `Sockets`. */
  setHopLimit(socket: number, isV4: boolean, hopLimit: number): number {
    const value = hopLimit === 0 ? -1 : hopLimit
    return isV4
      ? this.native.setOptionInteger(socket, SocketLevel.ip, IpOption.timeToLive, value)
      : this.native.setOptionInteger(socket, SocketLevel.ipv6, Ipv6Option.unicastHops, value)
  }

  /** See core's `Sockets`. */
  setTrafficClass(socket: number, isV4: boolean, trafficClass: number): number {
    return isV4
      ? this.native.setOptionInteger(socket, SocketLevel.ip, IpOption.typeOfService, trafficClass)
      : this.native.setOptionInteger(socket, SocketLevel.ipv6, Ipv6Option.trafficClass, trafficClass)
  }

  /**
   * Makes a socket send to IPv6 groups by the interface with the link-local addresses: to the kernel, these groups
   * exist on every interface alike. IPv4 groups are routed.
   */
  chooseGroupInterface(socket: number): void {
    if (this.#linkLocalScope === 0) return
    this.native.setOptionInteger(socket, SocketLevel.ipv6, Ipv6Option.multicastInterface, this.#linkLocalScope)
  }

  /** Sets whether routers' error reports are queued, for {@link ErrorQueue}. */
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
   * Writes a socket address. Returns its length in bytes.
   *
   * @param scope as for {@link SocketOpener.connect}
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
