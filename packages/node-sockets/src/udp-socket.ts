/**
 * A UDP socket of the host, by one of `node:dgram`.
 *
 * Addresses are never names, so the socket has a `lookup` that answers at once. The runtime then binds at once too, and
 * an error is known when `bind` returns.
 *
 * Datagrams that arrive wait in a buffer; like the system's, it loses what doesn't fit in.
 */
import { createSocket, type Socket as NodeSocket, type RemoteInfo } from "node:dgram"
import {
  Address,
  type Arena,
  type DatagramBatch,
  type Demiflow,
  Errno,
  type ListenerRef,
  type ListeningEnd,
  type SideRef,
  SocketEvent,
  UNSPECIFIED_V4,
  UNSPECIFIED_V6,
} from "@demiflow/core"
import { type EventList, HostSocket } from "./host-socket.ts"
import { readAddress } from "./node-address.ts"
import { EAFNOSUPPORT, EBADF, EDESTADDRREQ, EISCONN, errnoOf } from "./socket-errors.ts"

const RECEIVE_BUFFER = 1 << 20
const SEND_BUFFER = 4 << 20
/** Added to the length of each datagram that waits, so that empty ones fill the buffer too. */
const DATAGRAM_COST = 512
const LARGEST_V4 = 65_507
const LARGEST_V6 = 65_527

interface Arrived {
  readonly bytes: Uint8Array
  readonly address: Address
  readonly port: number
}

/** How a socket is opened. */
interface Opening {
  readonly isV4: boolean
  /** Takes IPv4 too, by mapped addresses. */
  readonly isDual?: boolean
  readonly address: Readonly<Address> | undefined
  readonly port: number
  readonly correspondent?: { readonly address: Address; readonly port: number }
  /** Reports the end that a datagram was sent to. */
  readonly listens?: boolean
}

export class UdpSocket extends HostSocket {
  readonly #opening: Opening
  readonly #socket: NodeSocket
  #arrived: Arrived[] = []
  #first = 0
  #waitingBytes = 0
  /** Bytes handed to the runtime that it hasn't sent yet. */
  #sendingBytes = 0
  #openError = 0
  #lastSender = ""
  #lastAddress = new Address()

  private constructor(events: EventList, opening: Opening) {
    super(events)
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

  handOver(side: SideRef): void {
    this.listener = undefined
    this.side = side
    if (this.#first < this.#arrived.length) this.report(SocketEvent.readable)
  }

  send(arena: Arena, batch: DatagramBatch, first: number, count: number): number {
    if (this.#opening.correspondent === undefined) return -EDESTADDRREQ
    return this.#sendAll(arena, batch, first, count, undefined)
  }

  sendTo(arena: Arena, demiflow: Demiflow, batch: DatagramBatch, first: number, count: number): number {
    if (this.#opening.correspondent !== undefined) return -EISCONN
    return this.#sendAll(arena, batch, first, count, demiflow)
  }

  /** @param ends absent for a connected socket */
  receive(arena: Arena, batch: DatagramBatch, count: number, ends?: readonly Demiflow[]): number {
    if (this.pendingError !== 0) return this.takeError()
    const available = Math.min(count, this.#arrived.length - this.#first)
    if (available === 0) return -Errno.EAGAIN
    for (let index = 0; index < available; index++) {
      const { bytes, address, port } = this.#arrived[this.#first++]
      const fitting = Math.min(batch.length[index], bytes.length)
      arena.bytes.set(fitting === bytes.length ? bytes : bytes.subarray(0, fitting), batch.offset[index])
      batch.length[index] = bytes.length
      batch.segmentSize[index] = 0
      batch.trafficClass[index] = 0
      batch.scope[index] = 0
      this.#waitingBytes -= bytes.length + DATAGRAM_COST
      if (ends !== undefined) this.#describe(ends[index], address, port)
    }
    this.#forgetTaken()
    return available
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
    this.#arrived = []
    this.#socket.close()
  }

  #describe(into: Demiflow, address: Address, port: number): void {
    into.correspondentAddress.copyFrom(address)
    into.correspondentPort = port
    if (!this.#opening.listens) return
    const own = this.#opening.address
    if (own !== undefined) into.forwardingAddress.copyFrom(own as Address)
    else into.forwardingAddress.copyFrom((address.isV4 ? UNSPECIFIED_V4 : UNSPECIFIED_V6) as Address)
    into.forwardingPort = this.#opening.port
  }

  #sendAll(arena: Arena, batch: DatagramBatch, first: number, count: number, to: Demiflow | undefined): number {
    for (let index = first; index < first + count; index++) {
      const end = batch.offset[index] + batch.length[index]
      const size = batch.segmentSize[index] || Math.max(1, batch.length[index])
      let start = batch.offset[index]
      do {
        const answer = this.#sendOne(arena, start, Math.min(end, start + size) - start, to)
        if (answer < 0) {
          batch.length[index] = end - start
          batch.offset[index] = start
          if (batch.length[index] <= size) batch.segmentSize[index] = 0
          return index > first ? index - first : answer
        }
        start += size
      } while (start < end)
    }
    return count
  }

  #sendOne(arena: Arena, offset: number, length: number, to: Demiflow | undefined): number {
    if (this.pendingError !== 0) return this.takeError()
    const { isV4 } = to ?? this.#opening
    if (length > (isV4 ? LARGEST_V4 : LARGEST_V6)) return -Errno.EMSGSIZE
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
    return address.isV4 && !this.#opening.isV4 ? `::ffff:${address}` : address.toString()
  }

  #receive(bytes: Uint8Array, sender: RemoteInfo): void {
    if (!this.isOpen) return
    const cost = bytes.length + DATAGRAM_COST
    if (this.#waitingBytes + cost > RECEIVE_BUFFER) return
    if (sender.address !== this.#lastSender) {
      const address = new Address()
      if (!readAddress(sender.address, address)) return
      this.#lastSender = sender.address
      this.#lastAddress = address
    }
    this.#arrived.push({ bytes, address: this.#lastAddress, port: sender.port })
    this.#waitingBytes += cost
    this.report(SocketEvent.readable)
  }

  #failed(errno: number): void {
    this.pendingError = errno
    this.report(SocketEvent.error)
  }

  #forgetTaken(): void {
    if (this.#first === this.#arrived.length) this.#arrived = []
    else if (this.#first < this.#arrived.length / 2) return
    else this.#arrived = this.#arrived.slice(this.#first)
    this.#first = 0
  }
}
