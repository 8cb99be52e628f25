/**
 * UDP sockets of the host, connected to one correspondent or with any number of them, and what ping sockets send and
 * receive.
 *
 * Datagrams move in batches (`recvmmsg`, `sendmmsg`). Where the kernel coalesced several of one size (UDP_GRO), or is
 * to split a buffer into segments (UDP_SEGMENT), one message carries up to 64 KiB; see udp(7).
 *
 * Sockets start small: most flows are one question and its answer, for which setting options would be much of the work.
 * A socket gets UDP_GRO and 4 MiB buffers on its first batch of more than one datagram, or when its send buffer is
 * full.
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
import { MessageTable } from "./message-table.ts"
import type { Native } from "./native.ts"
import { SENDING_NOTES_BYTES, SendingNotes } from "./sending-notes.ts"
import { SOCKET_ADDRESS_BYTES } from "./socket-address.ts"
import type { SocketOpener } from "./socket-opener.ts"

/** Messages in one system call. */
const MESSAGES = 64
/** For receiving: segment size and traffic class. */
const INCOMING_CONTROL_BYTES = 64
const SEGMENT_BYTES = controlSpace(2)
/** For sending: segment size, and what is the same for all messages of a call. */
const OUTGOING_CONTROL_BYTES = SEGMENT_BYTES + SENDING_NOTES_BYTES
const RECEIVE = MessageFlag.doNotWait | MessageFlag.truncate
/** Requested size; the kernel grants up to `net.core.rmem_max` and `wmem_max`. */
const BUFFER_BYTES = 4 << 20

/** Arena bytes that datagram sockets reserve. */
export const DATAGRAM_ARENA_BYTES: number = MESSAGES * (INCOMING_CONTROL_BYTES + OUTGOING_CONTROL_BYTES + 2 * 32) + 4096

/** The UDP and echo part of core's `Sockets`. */
export class DatagramSockets {
  readonly #sockets: SocketOpener
  readonly #native: Native
  readonly #arena: Arena
  readonly #incoming: MessageTable
  readonly #outgoing: MessageTable
  readonly #incomingControl: number
  readonly #outgoingControl: number
  readonly #name: number
  /** During a call: length in bytes of the destination address of its messages, 0 for a connected socket. */
  #nameLength = 0
  /** Control messages that are the same for all datagrams of the call in progress. */
  readonly #notes: SendingNotes
  /** Sockets with large buffers and UDP_GRO. */
  readonly #large = new DescriptorSet()

  constructor(sockets: SocketOpener) {
    const { native, arena } = sockets
    this.#sockets = sockets
    this.#native = native
    this.#arena = arena
    this.#incoming = new MessageTable(arena, MESSAGES)
    this.#outgoing = new MessageTable(arena, MESSAGES)
    this.#incomingControl = arena.reserve(MESSAGES * INCOMING_CONTROL_BYTES, 64, "the sockets of Linux")
    this.#outgoingControl = arena.reserve(MESSAGES * OUTGOING_CONTROL_BYTES, 64, "the sockets of Linux")
    this.#name = arena.reserve(SOCKET_ADDRESS_BYTES, 8, "the sockets of Linux")
    this.#notes = new SendingNotes(arena)
    for (let index = 0; index < MESSAGES; index++) {
      this.#incoming.setControl(index, this.#incomingControl + index * INCOMING_CONTROL_BYTES, INCOMING_CONTROL_BYTES)
      const control = this.#outgoingControl + index * OUTGOING_CONTROL_BYTES
      writeControlHeader(arena.view, control, SocketLevel.udp, UdpOption.segment, 2)
    }
  }

  /**
   * Opens a connected UDP socket with its error queue on. Returns the descriptor, not watched yet, or a negated errno.
   */
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
   * Opens a UDP socket bound to the demiflow's forwarding end, its error queue on. Returns the descriptor, not watched
   * yet, or a negated errno. The port is exclusive: without SO_REUSEADDR the kernel lets no two sockets share it.
   *
   * In the kernel's list of sockets, this one resembles a listening socket. Two options distinguish it
   * (`netlink-ports.ts`): IP_BIND_ADDRESS_NO_PORT, which has no effect once a socket has a port, and IP_RECVERR, whose
   * IPv6 form isn't listed.
   */
  openUnconnected(demiflow: Demiflow): number {
    const descriptor = this.#sockets.openShared(demiflow, SocketType.datagram, SocketProtocol.udp)
    if (descriptor < 0) return descriptor
    this.#large.delete(descriptor)
    this.hearNotes(descriptor, demiflow.isV4)
    if (!demiflow.isV4) this.#sockets.chooseGroupInterface(descriptor)
    // Leaves the same port of the other IP version to another socket.
    if (!demiflow.isV4) {
      this.#native.setOptionInteger(descriptor, SocketLevel.ipv6, Ipv6Option.only, 1)
      this.#native.setOptionInteger(descriptor, SocketLevel.ip, IpOption.receiveErrors, 1)
    }
    const result = this.#sockets.bindHere(descriptor, demiflow.forwardingAddress, demiflow.forwardingPort)
    if (result < 0) return this.#sockets.abandon(descriptor, result)
    this.#native.setOptionInteger(descriptor, SocketLevel.ip, IpOption.bindAddressNoPort, 1)
    return descriptor
  }

  /** Registers a ping socket that was bound elsewhere: turns its error queue on, and upgrades it when batches come. */
  adoptPing(descriptor: number, isV4: boolean): void {
    this.#large.delete(descriptor)
    this.hearNotes(descriptor, isV4)
  }

  /** Enlarges a socket's buffers, and turns UDP_GRO on except for ping sockets. */
  enlarge(descriptor: number): void {
    this.#large.add(descriptor)
    this.#native.setOptionInteger(descriptor, SocketLevel.udp, UdpOption.receiveOffload, 1)
    this.#native.setOptionInteger(descriptor, SocketLevel.socket, SocketOption.receiveBuffer, BUFFER_BYTES)
    this.#native.setOptionInteger(descriptor, SocketLevel.socket, SocketOption.sendBuffer, BUFFER_BYTES)
  }

  /**
   * Connects a bound socket, turns its error queue on and has it report the traffic class of what it receives. Closes
   * the socket on failure. `scope` as for `SocketOpener.connect`.
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
   * Sets whether routers and the kernel may fragment what the socket sends.
   *
   * A packet that must not be fragmented is sent whatever the kernel knows about the path (IP_PMTUDISC_PROBE): its
   * sender keeps a path MTU of its own, and routers' reports about the packet go to that sender. A packet that may be
   * fragmented is sent without DF over IPv4, so that routers fragment it too. Over IPv6 only the kernel fragments, by
   * the path MTU that it knows.
   */
  setFragmentation(socket: Socket, isV4: boolean, isAllowed: boolean): number {
    if (!isV4) {
      const discovery = isAllowed ? MtuDiscovery.want : MtuDiscovery.probe
      return this.#native.setOptionInteger(socket, SocketLevel.ipv6, Ipv6Option.mtuDiscover, discovery)
    }
    const discovery = isAllowed ? MtuDiscovery.never : MtuDiscovery.probe
    return this.#native.setOptionInteger(socket, SocketLevel.ip, IpOption.mtuDiscover, discovery)
  }

  /** Turns a socket's error queue on, and has the socket report traffic classes, for one IP version. */
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
   * Sends datagrams. Returns how many were taken, or the negated errno that the first one met. After a short count the
   * next datagram was refused: sending it again returns the reason.
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

  /** As {@link DatagramSockets.send}, for a socket that isn't connected: see core's `Sockets.sendDatagramsTo`. */
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
   * Receives up to `count` datagrams into the batch's entries. Returns how many, or a negated errno. A truncated
   * datagram is reported with its full length (recv(2), MSG_TRUNC).
   */
  receive(socket: Socket, batch: DatagramBatch, count: number): number {
    const table = this.#incoming
    const wanted = Math.min(count, MESSAGES)
    for (let index = 0; index < wanted; index++) {
      table.setData(index, batch.offset[index], batch.length[index])
      table.setControlLength(index, INCOMING_CONTROL_BYTES)
    }
    const received = this.#native.receiveMessages(socket, table.offset, wanted, RECEIVE)
    if (received > 1 || received === wanted) this.expectBatches(socket)
    batch.count = Math.max(received, 0)
    for (let index = 0; index < received; index++) {
      batch.length[index] = table.resultLength(index)
      const control = this.#incomingControl + index * INCOMING_CONTROL_BYTES
      readDatagramNotes(this.#arena.view, control, table.controlLength(index), batch, index)
    }
    return received
  }

  /** Upgrades the socket: more than one datagram moves at once. */
  expectBatches(socket: Socket): void {
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

  /** Sends the first entries of the table. If the send buffer is full, upgrades the socket and retries. */
  #sendTable(socket: Socket, count: number): number {
    const { offset } = this.#outgoing
    const sent = this.#native.sendMessages(socket, offset, count, MessageFlag.doNotWait)
    if (sent !== -Errno.EAGAIN || this.#large.has(socket)) return sent
    this.enlarge(socket)
    return this.#native.sendMessages(socket, offset, count, MessageFlag.doNotWait)
  }

  #sendSome(socket: Socket, batch: DatagramBatch, first: number, count: number): number {
    if (count > 1 || batch.segmentSize[first] > 0) this.expectBatches(socket)
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
   * Sends the segments of an entry as separate datagrams: there are more than the kernel splits (64; 128 since Linux
   * 6.10), or they are longer than the path MTU. If one is refused, those before it are removed from the entry.
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

/** Devices without checksum offload cause EIO on some kernels. */
function isRefusalToCut(error: number): boolean {
  return error === -Errno.EINVAL || error === -Errno.EMSGSIZE || error === -Errno.EIO
}
