/**
 * UDP sockets of the host, connected to one correspondent or with any number of them, and what ping sockets send and receive.
 *
 * Datagrams move in batches (`recvmmsg`, `sendmmsg`). Where the kernel left several of one size together (UDP_GRO) or is
 * to cut them (UDP_SEGMENT), one message carries up to 64 KiB; see udp(7).
 *
 * Most flows that we open are a question and its answer, and options of its socket would be much of the work for one. So
 * such a socket is made for much only when more than one datagram moves at once, or it has no room for one.
 */
import { type Arena, type DatagramBatch, type Demiflow, Errno, type Socket } from "@demiflow/core"
import {
  IpOption,
  Ipv6Option,
  MessageFlag,
  MtuDiscovery,
  SocketLevel,
  SocketOption,
  SocketProtocol,
  SocketType,
  UdpOption,
} from "./constants.ts"
import { CONTROL_HEADER_BYTES, controlSpace, writeControlHeader } from "./control-message.ts"
import { readDatagramNotes } from "./datagram-notes.ts"
import { DescriptorSet } from "./descriptor-set.ts"
import type { HostSockets } from "./host-sockets.ts"
import { MessageTable } from "./message-table.ts"
import type { Native } from "./native.ts"
import { SENDING_NOTES_BYTES, SendingNotes } from "./sending-notes.ts"
import { SOCKET_ADDRESS_BYTES } from "./socket-address.ts"

/** Messages in one system call. */
const MESSAGES = 64
/** Of what is received: how many were left together, and the class. */
const INCOMING_CONTROL_BYTES = 64
const SEGMENT_BYTES = controlSpace(2)
/** Of what is sent: how it is to be cut, and what is the same for all of a call. */
const OUTGOING_CONTROL_BYTES = SEGMENT_BYTES + SENDING_NOTES_BYTES
const RECEIVE = MessageFlag.doNotWait | MessageFlag.truncate
/** Asked for; the kernel gives what `net.core.rmem_max` and `wmem_max` allow. */
const BUFFER_BYTES = 4 << 20

/** Arena bytes that datagram sockets take. */
export const DATAGRAM_ARENA_BYTES: number = MESSAGES * (INCOMING_CONTROL_BYTES + OUTGOING_CONTROL_BYTES + 2 * 32) + 4096

/** The calls of core's `Host` that are UDP's and echo's. */
export class DatagramSockets {
  readonly #sockets: HostSockets
  readonly #native: Native
  readonly #arena: Arena
  readonly #incoming: MessageTable
  readonly #outgoing: MessageTable
  readonly #incomingControl: number
  readonly #outgoingControl: number
  readonly #name: number
  /** Of the call in progress: bytes of the name that its messages go to, 0 for a connected socket. */
  #nameLength = 0
  /** What is the same for all messages of the call in progress. */
  readonly #notes: SendingNotes
  /** Sockets that were made for much. */
  readonly #large = new DescriptorSet()

  constructor(sockets: HostSockets) {
    const { native, arena } = sockets
    this.#sockets = sockets
    this.#native = native
    this.#arena = arena
    this.#incoming = new MessageTable(arena, MESSAGES)
    this.#outgoing = new MessageTable(arena, MESSAGES)
    this.#incomingControl = arena.reserve(MESSAGES * INCOMING_CONTROL_BYTES, 64)
    this.#outgoingControl = arena.reserve(MESSAGES * OUTGOING_CONTROL_BYTES, 64)
    this.#name = arena.reserve(SOCKET_ADDRESS_BYTES, 8)
    this.#notes = new SendingNotes(arena)
    for (let index = 0; index < MESSAGES; index++) {
      this.#incoming.setControl(index, this.#incomingControl + index * INCOMING_CONTROL_BYTES, INCOMING_CONTROL_BYTES)
      const control = this.#outgoingControl + index * OUTGOING_CONTROL_BYTES
      writeControlHeader(arena.view, control, SocketLevel.udp, UdpOption.segment, 2)
    }
  }

  /** A connected UDP socket with its error queue on, or a negated errno. Not watched yet. */
  openUdp(demiflow: Demiflow): number {
    const descriptor = this.#sockets.open(demiflow, SocketType.datagram, SocketProtocol.udp)
    if (descriptor < 0) return descriptor
    const { forwardingAddress, forwardingPort } = demiflow
    const error = this.#sockets.bind(descriptor, forwardingAddress, forwardingPort, SocketProtocol.udp)
    if (error < 0) return this.#sockets.abandon(descriptor, error)
    this.#large.delete(descriptor)
    return this.connect(descriptor, demiflow)
  }

  /**
   * A UDP socket bound to the demiflow's forwarding end, its error queue on, or a negated errno. Not watched yet. The port is
   * nobody else's: without SO_REUSEADDR the kernel lets no two sockets have it.
   *
   * In the kernel's list of sockets, this one looks as if somebody listened there. Two options tell it apart (`netlink-ports.ts`):
   * IP_BIND_ADDRESS_NO_PORT, which changes nothing once a socket has a port, and IP_RECVERR, which of IPv6 isn't listed.
   */
  openUnconnected(demiflow: Demiflow): number {
    const descriptor = this.#sockets.openShared(demiflow, SocketType.datagram, SocketProtocol.udp)
    if (descriptor < 0) return descriptor
    this.#large.delete(descriptor)
    this.hearNotes(descriptor, demiflow.isV4)
    if (!demiflow.isV4) this.#sockets.chooseGroupInterface(descriptor)
    // The same port of the other version of IP is for another socket.
    if (!demiflow.isV4) {
      this.#native.setOptionInteger(descriptor, SocketLevel.ipv6, Ipv6Option.only, 1)
      this.#native.setOptionInteger(descriptor, SocketLevel.ip, IpOption.receiveErrors, 1)
    }
    const result = this.#sockets.bindHere(descriptor, demiflow.forwardingAddress, demiflow.forwardingPort)
    if (result < 0) return this.#sockets.abandon(descriptor, result)
    this.#native.setOptionInteger(descriptor, SocketLevel.ip, IpOption.bindAddressNoPort, 1)
    return descriptor
  }

  /** A ping socket, which was bound elsewhere, has its error queue on, and is made for much when there is much. */
  adoptPing(descriptor: number, isV4: boolean): void {
    this.#large.delete(descriptor)
    this.hearNotes(descriptor, isV4)
  }

  /** Has a socket take much at once: larger buffers, and, but for ping sockets, what the kernel left together. */
  enlarge(descriptor: number): void {
    this.#large.add(descriptor)
    this.#native.setOptionInteger(descriptor, SocketLevel.udp, UdpOption.receiveOffload, 1)
    this.#native.setOptionInteger(descriptor, SocketLevel.socket, SocketOption.receiveBuffer, BUFFER_BYTES)
    this.#native.setOptionInteger(descriptor, SocketLevel.socket, SocketOption.sendBuffer, BUFFER_BYTES)
  }

  /**
   * Connects a bound socket, with its error queue on and the class of what it receives reported. Closes the socket when that fails.
   * `scope` as for `HostSockets.connect`.
   */
  connect(descriptor: number, demiflow: Demiflow, scope = 0): number {
    this.hearNotes(descriptor, demiflow.isV4)
    if (!demiflow.isV4 && demiflow.correspondentAddress.isMulticast) this.#sockets.chooseGroupInterface(descriptor)
    const result = this.#sockets.connect(descriptor, demiflow, scope)
    return result < 0 ? this.#sockets.abandon(descriptor, result) : descriptor
  }

  setHopLimit(socket: Socket, isV4: boolean, hopLimit: number): number {
    return this.#sockets.setHopLimit(socket, isV4, hopLimit)
  }

  /**
   * A packet that may not be fragmented leaves whatever is known of the path: who sent it keeps a path MTU of its own, and
   * the routers' answers to this packet are for it (IP_PMTUDISC_PROBE). IPv4 that may be is not marked, so that routers cut it as
   * well. IPv6 that may be is cut by the kernel only, as it knows the path.
   */
  setFragmentation(socket: Socket, isV4: boolean, isAllowed: boolean): number {
    if (!isV4) {
      const discovery = isAllowed ? MtuDiscovery.want : MtuDiscovery.probe
      return this.#native.setOptionInteger(socket, SocketLevel.ipv6, Ipv6Option.mtuDiscover, discovery)
    }
    const discovery = isAllowed ? MtuDiscovery.never : MtuDiscovery.probe
    return this.#native.setOptionInteger(socket, SocketLevel.ip, IpOption.mtuDiscover, discovery)
  }

  /** Turns the error queue of a socket on, and reports the class of what the socket receives, for one version of IP. */
  hearNotes(descriptor: number, isV4: boolean): void {
    const native = this.#native
    if (isV4) {
      native.setOptionInteger(descriptor, SocketLevel.ip, IpOption.receiveErrors, 1)
      native.setOptionInteger(descriptor, SocketLevel.ip, IpOption.receiveTypeOfService, 1)
    } else {
      native.setOptionInteger(descriptor, SocketLevel.ipv6, Ipv6Option.receiveErrors, 1)
      native.setOptionInteger(descriptor, SocketLevel.ipv6, Ipv6Option.receiveTrafficClass, 1)
    }
  }

  /**
   * Sends datagrams; answers how many were taken, or the negated errno that the first of them met. After a short
   * count, the next one was refused: offering it again answers why.
   */
  send(socket: Socket, batch: DatagramBatch, first: number, count: number): number {
    let taken = 0
    while (taken < count) {
      const sent = this.#sendSome(socket, batch, first + taken, Math.min(count - taken, MESSAGES))
      if (sent <= 0) return taken > 0 ? taken : sent
      taken += sent
    }
    return taken
  }

  /** As {@link DatagramSockets.send}, by a socket that isn't connected: see core's `Host.sendDatagramsTo`. */
  sendTo(
    socket: Socket,
    demiflow: Demiflow,
    scope: number,
    batch: DatagramBatch,
    first: number,
    count: number,
  ): number {
    const { correspondentAddress, correspondentPort, forwardingAddress } = demiflow
    this.#nameLength = this.#sockets.writeName(this.#name, correspondentAddress, correspondentPort, scope)
    const notes = this.#notes
    if (!forwardingAddress.isUnspecified) {
      notes.addSource(forwardingAddress, this.#sockets.scopeFor(forwardingAddress, scope))
    }
    notes.addMarks(correspondentAddress.isV4, batch.marks)
    const sent = this.send(socket, batch, first, count)
    this.#nameLength = notes.length = 0
    return sent
  }

  /**
   * Receives up to `count` datagrams to where the batch's entries say; answers how many there were, or a negated errno.
   * The length of one that was cut off is its own (recv(2), MSG_TRUNC).
   */
  receive(socket: Socket, batch: DatagramBatch, count: number): number {
    const table = this.#incoming
    const wanted = Math.min(count, MESSAGES)
    for (let index = 0; index < wanted; index++) {
      table.setData(index, batch.offset[index], batch.length[index])
      table.setControlLength(index, INCOMING_CONTROL_BYTES)
    }
    const received = this.#native.receiveMessages(socket, table.offset, wanted, RECEIVE)
    if (received > 1 || received === wanted) this.expectMuch(socket)
    batch.count = Math.max(received, 0)
    for (let index = 0; index < received; index++) {
      batch.length[index] = table.resultLength(index)
      const control = this.#incomingControl + index * INCOMING_CONTROL_BYTES
      readDatagramNotes(this.#arena.view, control, table.controlLength(index), batch, index)
    }
    return received
  }

  /** More than one datagram moves at once. */
  expectMuch(socket: Socket): void {
    if (!this.#large.has(socket)) this.enlarge(socket)
  }

  #setMessage(index: number, offset: number, length: number, segmentSize: number): void {
    const table = this.#outgoing
    const notes = this.#notes
    const control = this.#outgoingControl + index * OUTGOING_CONTROL_BYTES
    table.setData(index, offset, length)
    table.setName(index, this.#name, this.#nameLength)
    if (segmentSize > 0) {
      this.#arena.view.setUint16(control + CONTROL_HEADER_BYTES, segmentSize, true)
      if (notes.length > 0) this.#arena.copy(notes.offset, control + SEGMENT_BYTES, notes.length)
      table.setControl(index, control, SEGMENT_BYTES + notes.length)
    } else table.setControl(index, notes.offset, notes.length)
  }

  /** Sends the first entries of the table. Where there is no room for them, there may be if the socket is made for much. */
  #sendTable(socket: Socket, count: number): number {
    const { offset } = this.#outgoing
    const sent = this.#native.sendMessages(socket, offset, count, MessageFlag.doNotWait)
    if (sent !== -Errno.EAGAIN || this.#large.has(socket)) return sent
    this.enlarge(socket)
    return this.#native.sendMessages(socket, offset, count, MessageFlag.doNotWait)
  }

  #sendSome(socket: Socket, batch: DatagramBatch, first: number, count: number): number {
    if (count > 1 || batch.segmentSize[first] > 0) this.expectMuch(socket)
    for (let index = 0; index < count; index++) {
      const entry = first + index
      this.#setMessage(index, batch.offset[entry], batch.length[entry], batch.segmentSize[entry])
    }
    const sent = this.#sendTable(socket, count)
    if (isRefusalToCut(sent) && batch.segmentSize[first] > 0) {
      return this.#sendApart(socket, batch, first)
    }
    return sent
  }

  /**
   * Sends what was left together as datagrams of their own: more segments than the kernel cuts (64, 128 since Linux 6.10),
   * or longer than the path's MTU. If one is refused, those before it are taken off the entry.
   */
  #sendApart(socket: Socket, batch: DatagramBatch, entry: number): number {
    const segmentSize = batch.segmentSize[entry]
    let offset = batch.offset[entry]
    const end = offset + batch.length[entry]
    while (offset < end) {
      let count = 0
      for (let at = offset; at < end && count < MESSAGES; at += segmentSize, count++) {
        this.#setMessage(count, at, Math.min(segmentSize, end - at), 0)
      }
      const sent = this.#sendTable(socket, count)
      if (sent <= 0) {
        batch.offset[entry] = offset
        batch.length[entry] = end - offset
        if (end - offset <= segmentSize) batch.segmentSize[entry] = 0
        return sent
      }
      offset += sent * segmentSize
    }
    return 1
  }
}

/** EIO is what devices without checksum offload get on some kernels. */
function isRefusalToCut(error: number): boolean {
  return error === -Errno.EINVAL || error === -Errno.EMSGSIZE || error === -Errno.EIO
}
