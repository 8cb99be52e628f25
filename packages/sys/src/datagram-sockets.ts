/**
 * UDP and ping sockets of the host, connected to one correspondent each.
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
import { CONTROL_HEADER_BYTES, writeControlHeader } from "./control-message.ts"
import { readDatagramNotes } from "./datagram-notes.ts"
import { DescriptorSet } from "./descriptor-set.ts"
import type { HostSockets } from "./host-sockets.ts"
import { MessageTable } from "./message-table.ts"
import type { Native } from "./native.ts"

/** Messages in one system call. */
const MESSAGES = 64
const CONTROL_BYTES = 64
const RECEIVE = MessageFlag.doNotWait | MessageFlag.truncate
/** Asked for; the kernel gives what `net.core.rmem_max` and `wmem_max` allow. */
const BUFFER_BYTES = 4 << 20

/** Arena bytes that datagram sockets take. */
export const DATAGRAM_ARENA_BYTES: number = MESSAGES * (2 * CONTROL_BYTES + 2 * 32) + 4096

/** The calls of core's `Host` that are UDP's and echo's. */
export class DatagramSockets {
  readonly #sockets: HostSockets
  readonly #native: Native
  readonly #arena: Arena
  readonly #incoming: MessageTable
  readonly #outgoing: MessageTable
  readonly #incomingControl: number
  readonly #outgoingControl: number
  /** Sockets that were made for much, or are of a kind that isn't. */
  readonly #large = new DescriptorSet()
  /** Sockets whose correspondent is a group. */
  readonly #groups = new DescriptorSet()

  constructor(sockets: HostSockets) {
    const { native, arena } = sockets
    this.#sockets = sockets
    this.#native = native
    this.#arena = arena
    this.#incoming = new MessageTable(arena, MESSAGES)
    this.#outgoing = new MessageTable(arena, MESSAGES)
    this.#incomingControl = arena.reserve(MESSAGES * CONTROL_BYTES, 64)
    this.#outgoingControl = arena.reserve(MESSAGES * CONTROL_BYTES, 64)
    for (let index = 0; index < MESSAGES; index++) {
      this.#incoming.setControl(index, this.#incomingControl + index * CONTROL_BYTES, CONTROL_BYTES)
      const control = this.#outgoingControl + index * CONTROL_BYTES
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
    const result = this.connect(descriptor, demiflow)
    // Between bind() and connect() anybody could have sent something.
    if (result >= 0 && forwardingPort !== 0) this.#drain(descriptor)
    return result
  }

  /** A connected ping socket with its error queue on, or a negated errno. Not watched yet. */
  openPing(demiflow: Demiflow): number {
    const protocol = demiflow.isV4 ? SocketProtocol.icmp : SocketProtocol.icmpv6
    const descriptor = this.#sockets.open(demiflow, SocketType.datagram, protocol)
    if (descriptor < 0) return descriptor
    // Ping sockets are made with SO_REUSEADDR. Two of them could then have one identifier, and the kernel, which goes by
    // the identifier only, would give one the replies of the other.
    this.#native.setOptionInteger(descriptor, SocketLevel.socket, SocketOption.reuseAddress, 0)
    const { forwardingAddress, forwardingPort } = demiflow
    let error = this.#sockets.bind(descriptor, forwardingAddress, forwardingPort, protocol)
    // Somebody else on this host has the identifier: any other will do.
    if (error === -Errno.EADDRINUSE) error = this.#sockets.bind(descriptor, forwardingAddress, 0, protocol)
    if (error < 0) return this.#sockets.abandon(descriptor, error)
    this.#large.add(descriptor)
    return this.connect(descriptor, demiflow)
  }

  /** Has a UDP socket take much at once: larger buffers, and what the kernel left together. */
  enlarge(descriptor: number): void {
    this.#large.add(descriptor)
    this.#native.setOptionInteger(descriptor, SocketLevel.udp, UdpOption.receiveOffload, 1)
    this.#native.setOptionInteger(descriptor, SocketLevel.socket, SocketOption.receiveBuffer, BUFFER_BYTES)
    this.#native.setOptionInteger(descriptor, SocketLevel.socket, SocketOption.sendBuffer, BUFFER_BYTES)
  }

  /** Connects a bound socket, its error queue on, and told the class of what it receives. Closes it when that fails. `scope` as for `HostSockets.connect`. */
  connect(descriptor: number, demiflow: Demiflow, scope = 0): number {
    const native = this.#native
    if (demiflow.isV4) {
      native.setOptionInteger(descriptor, SocketLevel.ip, IpOption.receiveErrors, 1)
      native.setOptionInteger(descriptor, SocketLevel.ip, IpOption.receiveTypeOfService, 1)
    } else {
      native.setOptionInteger(descriptor, SocketLevel.ipv6, Ipv6Option.receiveErrors, 1)
      native.setOptionInteger(descriptor, SocketLevel.ipv6, Ipv6Option.receiveTrafficClass, 1)
    }
    this.#noteGroup(descriptor, demiflow)
    const result = this.#sockets.connect(descriptor, demiflow, scope)
    return result < 0 ? this.#sockets.abandon(descriptor, result) : descriptor
  }

  setHopLimit(socket: Socket, isV4: boolean, hopLimit: number): number {
    if (this.#groups.has(socket)) return this.#sockets.setGroupHopLimit(socket, isV4, hopLimit)
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

  /**
   * Sends datagrams; answers how many were taken, or the negated errno that the first of them met. A short count tells
   * that the next one was refused: offering it again tells why.
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

  /**
   * Receives up to `count` datagrams to where the batch's entries say; answers how many there were, or a negated errno.
   * The length of one that was cut off is told as it was (recv(2), MSG_TRUNC).
   */
  receive(socket: Socket, batch: DatagramBatch, count: number): number {
    const table = this.#incoming
    const wanted = Math.min(count, MESSAGES)
    for (let index = 0; index < wanted; index++) {
      table.setData(index, batch.offset[index], batch.length[index])
      table.setControlLength(index, CONTROL_BYTES)
    }
    const received = this.#native.receiveMessages(socket, table.offset, wanted, RECEIVE)
    if (received > 1 || received === wanted) this.#expectMuch(socket)
    batch.count = Math.max(received, 0)
    for (let index = 0; index < received; index++) {
      batch.length[index] = table.resultLength(index)
      const control = this.#incomingControl + index * CONTROL_BYTES
      readDatagramNotes(this.#arena.view, control, table.controlLength(index), batch, index)
    }
    return received
  }

  /** Throws away what has arrived: as much of it as could in a moment. */
  #drain(descriptor: number): void {
    for (let count = 0; count < MESSAGES && this.#native.discard(descriptor, 1) >= 0; count++);
  }

  #noteGroup(descriptor: number, { correspondentAddress, isV4 }: Demiflow): void {
    if (!correspondentAddress.isMulticast) {
      this.#groups.delete(descriptor)
      return
    }
    this.#groups.add(descriptor)
    if (!isV4) this.#sockets.chooseGroupInterface(descriptor)
  }

  #expectMuch(socket: Socket): void {
    if (!this.#large.has(socket)) this.enlarge(socket)
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
    if (count > 1 || batch.segmentSize[first] > 0) this.#expectMuch(socket)
    const table = this.#outgoing
    for (let index = 0; index < count; index++) {
      const segmentSize = batch.segmentSize[first + index]
      table.setData(index, batch.offset[first + index], batch.length[first + index])
      const control = this.#outgoingControl + index * CONTROL_BYTES
      if (segmentSize > 0) this.#arena.view.setUint16(control + CONTROL_HEADER_BYTES, segmentSize, true)
      table.setControl(index, control, segmentSize > 0 ? CONTROL_HEADER_BYTES + 8 : 0)
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
    const table = this.#outgoing
    const segmentSize = batch.segmentSize[entry]
    let offset = batch.offset[entry]
    const end = offset + batch.length[entry]
    while (offset < end) {
      let count = 0
      for (let at = offset; at < end && count < MESSAGES; at += segmentSize, count++) {
        table.setData(count, at, Math.min(segmentSize, end - at))
        table.setControl(count, this.#outgoingControl, 0)
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
