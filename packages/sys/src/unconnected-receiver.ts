/**
 * Receives datagrams from anybody: with each, where it comes from (its name) and where it went (`struct in_pktinfo`, ip(7),
 * and `struct in6_pktinfo`, ipv6(7)).
 *
 * Of an IPv4 datagram to a group or to everybody, the kernel tells from which address of the host it would be answered
 * (`ipi_spec_dst`); of an IPv6 datagram to a group it doesn't: then the forwarding address is unspecified, and the kernel
 * chooses when an answering socket is connected.
 */
import { type Arena, type DatagramBatch, type Demiflow, type Socket, UNSPECIFIED_V6 } from "@demiflow/core"
import { IpOption, Ipv6Option, MessageFlag, SocketLevel } from "./constants.ts"
import { controlSpace, findControlMessage } from "./control-message.ts"
import { readDatagramNotes } from "./datagram-notes.ts"
import type { HostSockets } from "./host-sockets.ts"
import type { ListeningSockets } from "./listening-sockets.ts"
import { MessageTable } from "./message-table.ts"
import { readSocketAddress, readSocketScope, SOCKET_ADDRESS_BYTES } from "./socket-address.ts"

/** Messages in one system call. */
const MESSAGES = 64
const V4_INFORMATION_BYTES = 12
const V4_LOCAL_ADDRESS = 4
const V6_INFORMATION_BYTES = 20
/** A dual-stack socket tells of an IPv4 datagram in both ways; how many were left together; and the class in one way. */
const CONTROL_BYTES = controlSpace(V4_INFORMATION_BYTES) + controlSpace(V6_INFORMATION_BYTES) + 2 * controlSpace(4)
const NAME_BYTES = 32
const FLAGS = MessageFlag.doNotWait | MessageFlag.truncate

/** Arena bytes that it takes. */
export const RECEIVER_ARENA_BYTES: number = MESSAGES * (CONTROL_BYTES + NAME_BYTES + 32) + 1024

/** One for all sockets. */
export class UnconnectedReceiver {
  readonly #sockets: HostSockets
  readonly #listening: ListeningSockets
  readonly #arena: Arena
  readonly #table: MessageTable
  readonly #names: number
  readonly #controls: number
  /** How many names of the table are those of datagrams that were received last. */
  #received = 0
  /** The listening socket at which some were received last. */
  #receivedAt = -1

  constructor(sockets: HostSockets, listening: ListeningSockets) {
    const { arena } = sockets
    this.#sockets = sockets
    this.#listening = listening
    this.#arena = arena
    this.#table = new MessageTable(arena, MESSAGES)
    this.#names = arena.reserve(MESSAGES * NAME_BYTES, 64)
    this.#controls = arena.reserve(MESSAGES * CONTROL_BYTES, 64)
  }

  /** As core's `Host.receiveFromAnyone`. */
  receive(socket: Socket, batch: DatagramBatch, ends: readonly Demiflow[], count: number): number {
    const table = this.#table
    const wanted = Math.min(count, MESSAGES)
    for (let index = 0; index < wanted; index++) {
      table.setData(index, batch.offset[index], batch.length[index])
      table.setName(index, this.#names + index * NAME_BYTES, SOCKET_ADDRESS_BYTES)
      table.setControl(index, this.#controls + index * CONTROL_BYTES, CONTROL_BYTES)
    }
    const received = this.#sockets.native.receiveMessages(socket, table.offset, wanted, FLAGS)
    if (received <= 0) return received
    this.#received = received
    const port = this.#listening.get(socket)?.end.port ?? -1
    if (port >= 0) this.#receivedAt = socket
    for (let index = 0; index < received; index++) {
      batch.length[index] = table.resultLength(index)
      const control = this.#controls + index * CONTROL_BYTES
      readDatagramNotes(this.#arena.view, control, table.controlLength(index), batch, index)
      this.#readEnds(socket, index, port, ends[index])
    }
    return received
  }

  /**
   * Index of the interface over which the correspondent, whose address is link-local, was heard among the datagrams
   * received last; 0 if it wasn't. The demiflow's addresses alone don't say.
   */
  scopeOf(demiflow: Demiflow): number {
    const { correspondentAddress, correspondentPort } = demiflow
    if (correspondentAddress.isV4 || !correspondentAddress.isLinkLocal) return 0
    for (let index = 0; index < this.#received; index++) {
      const scope = readSocketScope(
        this.#arena.view,
        this.#names + index * NAME_BYTES,
        correspondentAddress,
        correspondentPort,
      )
      if (scope > 0) return scope
    }
    return 0
  }

  /** Name of the interface that the socket is held to at which datagrams were received last, if that has the port. */
  interfaceNameAt(port: number): string | undefined {
    const end = this.#listening.get(this.#receivedAt)?.end
    return end?.port === port ? end.interfaceName : undefined
  }

  #readEnds(socket: Socket, index: number, port: number, ends: Demiflow): void {
    const { view } = this.#arena
    const name = this.#names + index * NAME_BYTES
    ends.correspondentPort = Math.max(0, readSocketAddress(view, name, ends.correspondentAddress))
    const control = this.#controls + index * CONTROL_BYTES
    const controlLength = this.#table.controlLength(index)
    ends.forwardingPort = port
    const v4 = findControlMessage(view, control, controlLength, SocketLevel.ip, IpOption.packetInformation)
    if (v4 >= 0) {
      ends.forwardingAddress.readV4(view, v4 + V4_LOCAL_ADDRESS)
      return
    }
    const v6 = findControlMessage(view, control, controlLength, SocketLevel.ipv6, Ipv6Option.packetInformation)
    if (v6 >= 0) {
      ends.forwardingAddress.readV6(view, v6)
      if (ends.forwardingAddress.isMulticast) ends.forwardingAddress.copyFrom(UNSPECIFIED_V6)
      return
    }
    // A socket that answers: what it is bound to is where everything went that it got.
    this.#sockets.boundEnd(socket, ends)
  }
}
