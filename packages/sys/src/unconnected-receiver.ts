/**
 * Receives datagrams from any correspondent. Each one is reported with its source (its name) and its destination
 * (`struct in_pktinfo`, ip(7), and `struct in6_pktinfo`, ipv6(7)).
 *
 * For an IPv4 datagram to a group or to the broadcast address, the kernel reports the address of the host that replies
 * would come from (`ipi_spec_dst`). For an IPv6 datagram to a group it reports none: the forwarding address is then
 * unspecified, and the kernel chooses one for each reply.
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
import type { ListeningSockets } from "./listening-sockets.ts"
import { MessageTable } from "./message-table.ts"
import { readSocketAddress, readSocketScope, SOCKET_ADDRESS_BYTES } from "./socket-address.ts"
import type { SocketOpener } from "./socket-opener.ts"

/** Messages in one system call. */
const MESSAGES = 64
const V4_INFORMATION_BYTES = 12
const V4_LOCAL_ADDRESS = 4
const V6_INFORMATION_BYTES = 20
/**
 * Room for both structures, as reported by a dual-stack socket for an IPv4 datagram, the segment size, and the traffic
 * class in one form.
 */
const CONTROL_BYTES = controlSpace(V4_INFORMATION_BYTES) + controlSpace(V6_INFORMATION_BYTES) + 2 * controlSpace(4)
const NAME_BYTES = 32
const FLAGS = MessageFlag.doNotWait | MessageFlag.truncate

/** Arena bytes that the receiver reserves. */
export const RECEIVER_ARENA_BYTES: number = MESSAGES * (CONTROL_BYTES + NAME_BYTES + 32) + 1024

/** One receiver serves all sockets. */
export class UnconnectedReceiver {
  readonly #sockets: SocketOpener
  readonly #listening: ListeningSockets
  readonly #arena: Arena
  readonly #table: MessageTable
  readonly #names: number
  readonly #controls: number

  constructor(sockets: SocketOpener, listening: ListeningSockets) {
    const { arena } = sockets
    this.#sockets = sockets
    this.#listening = listening
    this.#arena = arena
    this.#table = new MessageTable(arena, MESSAGES)
    this.#names = arena.reserve(MESSAGES * NAME_BYTES, 64, "the sockets of Linux")
    this.#controls = arena.reserve(MESSAGES * CONTROL_BYTES, 64, "the sockets of Linux")
  }

  /** See core's `Sockets.receiveFromAnyone`. */
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
    // Sockets that aren't bound to an interface hear other links: listening ones, and all where no interface is set.
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
      // The guest knows no links. Without a usual link, what it sends leaves by any, so replies are accepted from any.
      const isUsual = scope === usual || (usual === 0 && port < 0)
      batch.scope[index] = isUsual ? 0 : scope
      // Only listening sockets report destinations.
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
