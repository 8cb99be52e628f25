/**
 * A UDP socket of the host, by one of `node:dgram`.
 *
 * Addresses are never names, so the socket has a `lookup` that answers at once. The runtime then binds at once too, and
 * an error is known when `bind` returns.
 */
import { createSocket, type Socket as NodeSocket, type RemoteInfo } from "node:dgram"
import {
  Address,
  type Arena,
  type Demiflow,
  Errno,
  type ListenerRef,
  type ListeningEnd,
  type SideRef,
  SocketEvent,
  UNSPECIFIED_V4,
  UNSPECIFIED_V6,
} from "@demiflow/core"
import { type Correspondent, DatagramSocket, EAFNOSUPPORT, EBADF, type EventList, errnoOf } from "@demiflow/sockets-kit"
import { readAddress } from "./node-address.ts"

const SEND_BUFFER = 4 << 20
/** Added to the length of each datagram that waits, so that empty ones fill the buffer too. */
const DATAGRAM_COST = 512

/** How a socket is opened. */
interface Opening {
  readonly isV4: boolean
  /** Takes IPv4 too, by mapped addresses. */
  readonly isDual?: boolean
  readonly address: Readonly<Address> | undefined
  readonly port: number
  readonly correspondent?: Correspondent
  /** Reports the end that a datagram was sent to. */
  readonly listens?: boolean
}

export class UdpSocket extends DatagramSocket {
  readonly #opening: Opening
  readonly #socket: NodeSocket
  /** Bytes handed to the runtime that it hasn't sent yet. */
  #sendingBytes = 0
  #openError = 0
  #lastSender = ""
  #lastAddress = new Address()

  private constructor(events: EventList, opening: Opening) {
    super(events, opening.isV4, opening.correspondent)
    this.#opening = opening
    this.#socket = createSocket({
      type: opening.isV4 ? "udp4" : "udp6",
      ipv6Only: !opening.isV4 && opening.isDual !== true,
      lookup: (host, _options, done) => done(null, host, opening.isV4 ? 4 : 6),
    })
    let isOpening = true
    this.#socket.on("error", (cause) => {
      const errno = errnoOf(cause, Errno.EIO)
      if (isOpening) this.#openError = errno
      else this.#failed(errno)
    })
    this.#socket.on("message", (bytes: Uint8Array, sender) => this.#receive(bytes, sender))
    const { address, port, correspondent } = opening
    this.#socket.bind({ port, exclusive: true, ...(address === undefined ? {} : { address: address.toString() }) })
    if (correspondent !== undefined && this.#openError === 0) {
      // The runtime throws for port 0, which the system refuses as well.
      if (correspondent.port === 0) this.#openError = Errno.EINVAL
      else this.#socket.connect(correspondent.port, correspondent.address.toString())
    }
    isOpening = false
  }

  /** A socket that sends to one correspondent and receives only from there. */
  static connected(events: EventList, side: SideRef, demiflow: Demiflow): UdpSocket | number {
    const { isV4, forwardingAddress: address, forwardingPort: port } = demiflow
    const correspondent = { address: demiflow.correspondentAddress, port: demiflow.correspondentPort }
    return UdpSocket.#open(events, { isV4, address, port, correspondent }, side)
  }

  /** A socket for any correspondent. */
  static bound(events: EventList, side: SideRef, demiflow: Demiflow): UdpSocket | number {
    const { isV4, forwardingAddress: address, forwardingPort: port } = demiflow
    return UdpSocket.#open(events, { isV4, address, port }, side)
  }

  static listening(events: EventList, listener: ListenerRef, end: ListeningEnd): UdpSocket | number {
    const { address, port } = end
    const opening = { isV4: address?.isV4 ?? false, address, port, listens: true }
    const socket = UdpSocket.#open(events, { ...opening, isDual: address === undefined }, listener)
    // A system without IPv6.
    const isWithout = socket === -Errno.EADDRNOTAVAIL || socket === -EAFNOSUPPORT
    return address === undefined && isWithout ? UdpSocket.#open(events, { ...opening, isV4: true }, listener) : socket
  }

  static #open(events: EventList, opening: Opening, owner: SideRef | ListenerRef): UdpSocket | number {
    const socket = new UdpSocket(events, opening)
    if (socket.#openError !== 0) {
      socket.close()
      return -socket.#openError
    }
    if (opening.listens) socket.listener = owner as ListenerRef
    else socket.side = owner as SideRef
    return socket
  }

  override boundEnd(demiflow: Demiflow): number {
    try {
      const { address, port } = this.#socket.address()
      readAddress(address, demiflow.forwardingAddress)
      demiflow.forwardingPort = port
      return 0
    } catch (cause) {
      return -errnoOf(cause, EBADF)
    }
  }

  protected override shut(): void {
    super.shut()
    this.#socket.close()
  }

  protected override describe(into: Demiflow, address: Address, port: number): void {
    super.describe(into, address, port)
    if (!this.#opening.listens) return
    const own = this.#opening.address
    if (own !== undefined) into.forwardingAddress.copyFrom(own as Address)
    else into.forwardingAddress.copyFrom((address.isV4 ? UNSPECIFIED_V4 : UNSPECIFIED_V6) as Address)
    into.forwardingPort = this.#opening.port
  }

  protected override transmit(arena: Arena, offset: number, length: number, to: Demiflow | undefined): number {
    const cost = length + DATAGRAM_COST
    if (this.#sendingBytes + cost > SEND_BUFFER) return -Errno.EAGAIN
    // A copy: the runtime may keep it after this call.
    const bytes = Buffer.from(arena.bytes.subarray(offset, offset + length))
    const sent = () => {
      this.#sendingBytes -= cost
    }
    this.#sendingBytes += cost
    try {
      if (to === undefined) this.#socket.send(bytes, sent)
      else this.#socket.send(bytes, to.correspondentPort, this.#textOf(to.correspondentAddress), sent)
      return 0
    } catch (cause) {
      // Port 0, or a socket whose connect failed.
      sent()
      return -errnoOf(cause, Errno.EINVAL)
    }
  }

  #textOf(address: Address): string {
    return address.isV4 && !this.isV4 ? `::ffff:${address}` : address.toString()
  }

  #receive(bytes: Uint8Array, sender: RemoteInfo): void {
    if (sender.address !== this.#lastSender) {
      const address = new Address()
      if (!readAddress(sender.address, address)) return
      this.#lastSender = sender.address
      this.#lastAddress = address
    }
    this.arrived(bytes, this.#lastAddress, sender.port)
  }

  #failed(errno: number): void {
    this.pendingError = errno
    this.report(SocketEvent.error)
  }
}
