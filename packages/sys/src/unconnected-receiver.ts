/**
 * Receives datagrams from anybody: with each, where it comes from (its name) and where it went (`struct in_pktinfo`, ip(7),
 * and `struct in6_pktinfo`, ipv6(7)).
 *
 * Of an IPv4 datagram to a group or to everybody, the kernel reports from which address of the host it would be answered
 * (`ipi_spec_dst`); of an IPv6 datagram to a group it doesn't: then the forwarding address is unspecified, and the kernel
 * chooses for each answer.
 */
import {
  type Address,
  type Arena,
  type DatagramBatch,
  type Demiflow,
  type Socket,
  UNSPECIFIED_V6,
} from "@demiflow/core"
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
/** A dual-stack socket reports both for an IPv4 datagram; how many were left together; and the class in one way. */
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
    const { view } = this.#arena
    const port = this.#listening.get(socket)?.end.port ?? -1
    // What isn't held to an interface: listening sockets, and all where there is none for them.
    const hearsLinks = port >= 0 || !this.#sockets.isHeld(false)
    for (let index = 0; index < received; index++) {
      batch.length[index] = table.resultLength(index)
      const control = this.#controls + index * CONTROL_BYTES
      const controlLength = table.controlLength(index)
      readDatagramNotes(view, control, controlLength, batch, index)
      const name = this.#names + index * NAME_BYTES
      const { correspondentAddress } = ends[index]
      ends[index].correspondentPort = Math.max(0, readSocketAddress(view, name, correspondentAddress))
      const isScoped = hearsLinks && correspondentAddress.isLinkLocal && !correspondentAddress.isV4
      const scope = isScoped ? readSocketScope(view, name) : 0
      const usual = this.#sockets.scopeFor(correspondentAddress, 0)
      // The guest knows no links: without a usual one, what it sends leaves by any, and so are its answers from any.
      const isUsual = scope === usual || (usual === 0 && port < 0)
      batch.scope[index] = isUsual ? 0 : scope
      // Only listening sockets say where datagrams went.
      if (port >= 0) {
        ends[index].forwardingPort = port
        this.#readTarget(control, controlLength, ends[index].forwardingAddress)
      }
    }
    return received
  }

  #readTarget(control: number, controlLength: number, address: Address): void {
    const { view } = this.#arena
    const v4 = findControlMessage(view, control, controlLength, SocketLevel.ip, IpOption.packetInformation)
    if (v4 >= 0) {
      address.readV4(view, v4 + V4_LOCAL_ADDRESS)
      return
    }
    const v6 = findControlMessage(view, control, controlLength, SocketLevel.ipv6, Ipv6Option.packetInformation)
    if (v6 >= 0) address.readV6(view, v6)
    if (v6 < 0 || address.isMulticast) address.copyFrom(UNSPECIFIED_V6)
  }
}
