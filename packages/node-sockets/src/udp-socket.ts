/**
 * A UDP socket of the host, by one of `node:dgram`.
 *
 * The runtime sends a datagram at once, unless others wait for the system. The hop limit is the socket's, so it can be
 * changed only while none waits.
 */
import type { Socket as NodeSocket, RemoteInfo } from "node:dgram"
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
import { defaultHopLimit } from "./default-hop-limit.ts"
import { readAddress } from "./node-address.ts"
import { connectError, createDatagrams } from "./node-datagrams.ts"
import { textOf, type Zones } from "./zones.ts"

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
  readonly #zones: Zones
  /** 0: the host's default. */
  #hopLimit = 0
  /** Bytes handed to the runtime that it hasn't sent yet. */
  #sendingBytes = 0
  #openError = 0
  #lastSender = ""
  #lastAddress = new Address()
  #lastScope = 0

  private constructor(events: EventList, zones: Zones, opening: Opening) {
    super(events, opening.isV4, opening.correspondent)
    this.#opening = opening
    this.#zones = zones
    this.#socket = createDatagrams(opening.isV4, opening.isDual)
    let isOpening = true
    this.#socket.on("error", (cause) => {
      const errno = errnoOf(cause, Errno.EIO)
      if (isOpening) this.#openError = errno
      else this.#failed(errno)
    })
    this.#socket.on("message", (bytes: Uint8Array, sender) => this.#receive(bytes, sender))
    const { address, port, correspondent } = opening
    this.#socket.bind({
      port,
      exclusive: true,
      ...(address === undefined ? {} : { address: textOf(address, zones.ofOwn(address)) }),
    })
    if (correspondent !== undefined && this.#openError === 0) {
      // The runtime throws for port 0, which the system refuses as well.
      if (correspondent.port === 0) this.#openError = Errno.EINVAL
      else {
        const { address: to } = correspondent
        this.#socket.connect(correspondent.port, textOf(to, zones.of(to, 0)))
        this.#openError = -connectError(this.#socket, address, to)
      }
    }
    isOpening = false
  }

  /** A socket that sends to one correspondent and receives only from there. */
  static connected(events: EventList, zones: Zones, side: SideRef, demiflow: Demiflow): UdpSocket | number {
    const { isV4, forwardingAddress: address, forwardingPort: port } = demiflow
    const correspondent = { address: demiflow.correspondentAddress, port: demiflow.correspondentPort }
    return UdpSocket.#open(events, zones, { isV4, address, port, correspondent }, side)
  }

  /** A socket for any correspondent. */
  static bound(events: EventList, zones: Zones, side: SideRef, demiflow: Demiflow): UdpSocket | number {
    const { isV4, forwardingAddress: address, forwardingPort: port } = demiflow
    return UdpSocket.#open(events, zones, { isV4, address, port }, side)
  }

  static listening(events: EventList, zones: Zones, listener: ListenerRef, end: ListeningEnd): UdpSocket | number {
    const { address, port } = end
    const opening = { isV4: address?.isV4 ?? false, address, port, listens: true }
    const open = (more: Partial<Opening>) => UdpSocket.#open(events, zones, { ...opening, ...more }, listener)
    const socket = open({ isDual: address === undefined })
    // A system without IPv6.
    const isWithout = socket === -Errno.EADDRNOTAVAIL || socket === -EAFNOSUPPORT
    return address === undefined && isWithout ? open({ isV4: true }) : socket
  }

  static #open(events: EventList, zones: Zones, opening: Opening, owner: SideRef | ListenerRef): UdpSocket | number {
    const socket = new UdpSocket(events, zones, opening)
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

  /** An IPv6 socket that takes IPv4 too sends that with the host's default. */
  override setHopLimit(hopLimit: number): number {
    if (hopLimit === this.#hopLimit) return 0
    try {
      if (this.#socket.getSendQueueCount() > 0) return -Errno.EAGAIN
      this.#socket.setTTL(hopLimit || defaultHopLimit(this.isV4))
    } catch (cause) {
      return -errnoOf(cause, Errno.EINVAL)
    }
    this.#hopLimit = hopLimit
    return 0
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

  protected override transmit(
    arena: Arena,
    offset: number,
    length: number,
    to: Demiflow | undefined,
    scope: number,
  ): number {
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
      else this.#socket.send(bytes, to.correspondentPort, this.#textOf(to.correspondentAddress, scope), sent)
      return 0
    } catch (cause) {
      // Port 0, or a socket that turned out later not to be connected.
      sent()
      return -errnoOf(cause, Errno.EINVAL)
    }
  }

  #textOf(address: Address, scope: number): string {
    return address.isV4 && !this.isV4 ? `::ffff:${address}` : textOf(address, this.#zones.of(address, scope))
  }

  #receive(bytes: Uint8Array, sender: RemoteInfo): void {
    if (sender.address !== this.#lastSender) {
      const address = new Address()
      if (!readAddress(sender.address, address)) return
      this.#lastSender = sender.address
      this.#lastAddress = address
      this.#lastScope = this.#zones.scopeIn(sender.address, address)
    }
    this.arrived(bytes, this.#lastAddress, sender.port, this.#lastScope)
  }

  #failed(errno: number): void {
    this.pendingError = errno
    this.report(SocketEvent.error)
  }
}
