/**
 * The error queue of UDP and ping sockets: what ICMP reports about packets that were sent. See ip(7), IP_RECVERR, and
 * `struct sock_extended_err` of <linux/errqueue.h>.
 */
import { type Address, type Arena, type Socket, type SocketError, UNSPECIFIED_V4, UNSPECIFIED_V6 } from "@demiflow/core"
import { IpOption, Ipv6Option, MessageFlag, SocketLevel } from "./constants.ts"
import { findControlMessage } from "./control-message.ts"
import { MessageTable } from "./message-table.ts"
import type { Native } from "./native.ts"
import { readSocketAddress, SOCKET_ADDRESS_BYTES } from "./socket-address.ts"

/** Holds all that an ICMPv6 error quotes (RFC 4443, section 2.4 (c)), and more than an IPv4 one usually does. */
const QUOTE_BYTES = 2048
const CONTROL_BYTES = 256
const FLAGS = MessageFlag.errorQueue | MessageFlag.doNotWait

/** `ipi_addr` of struct in_pktinfo: the header's destination. */
const V4_OWN_ADDRESS = 8

const ERROR_NUMBER = 0
const ERROR_ORIGIN = 4
const ERROR_TYPE = 5
const ERROR_CODE = 6
const ERROR_INFORMATION = 8
const ERROR_BYTES = 16

/** Reads error queues. */
export class ErrorQueue {
  readonly #native: Native
  readonly #arena: Arena
  readonly #table: MessageTable
  readonly #quote: number
  readonly #name: number
  readonly #control: number

  constructor(native: Native, arena: Arena) {
    this.#native = native
    this.#arena = arena
    this.#table = new MessageTable(arena, 1)
    this.#quote = arena.reserve(QUOTE_BYTES, 64, "the sockets of Linux")
    this.#name = arena.reserve(SOCKET_ADDRESS_BYTES, 8, "the sockets of Linux")
    this.#control = arena.reserve(CONTROL_BYTES, 8, "the sockets of Linux")
  }

  /** Takes the oldest entry. Returns 1, or 0 if there is none. */
  receive(socket: Socket, into: SocketError): number {
    const table = this.#table
    table.setData(0, this.#quote, QUOTE_BYTES)
    table.setName(0, this.#name, SOCKET_ADDRESS_BYTES)
    table.setControl(0, this.#control, CONTROL_BYTES)
    while (this.#native.receiveMessages(socket, table.offset, 1, FLAGS) > 0) {
      const at = this.#findError(table.controlLength(0))
      // Transmit time stamps arrive here too, unrequested.
      if (at >= 0) {
        this.#read(at, into)
        this.#readSource(table.controlLength(0), into.source)
        return 1
      }
      table.setName(0, this.#name, SOCKET_ADDRESS_BYTES)
      table.setControl(0, this.#control, CONTROL_BYTES)
    }
    return 0
  }

  #findError(controlLength: number): number {
    const { view } = this.#arena
    const v4 = findControlMessage(view, this.#control, controlLength, SocketLevel.ip, IpOption.receiveErrors)
    if (v4 >= 0) return v4
    return findControlMessage(view, this.#control, controlLength, SocketLevel.ipv6, Ipv6Option.receiveErrors)
  }

  /** The address to which the report came: listening sockets have IP_PKTINFO or IPV6_RECVPKTINFO on. */
  #readSource(controlLength: number, source: Address): void {
    const { view } = this.#arena
    const v4 = findControlMessage(view, this.#control, controlLength, SocketLevel.ip, IpOption.packetInformation)
    const v6 = findControlMessage(view, this.#control, controlLength, SocketLevel.ipv6, Ipv6Option.packetInformation)
    if (v4 >= 0) source.readV4(view, v4 + V4_OWN_ADDRESS)
    else if (v6 >= 0) source.readV6(view, v6)
    else source.copyFrom(UNSPECIFIED_V6)
  }

  #read(at: number, into: SocketError): void {
    const { view } = this.#arena
    into.errno = view.getInt32(at + ERROR_NUMBER, true)
    into.origin = view.getUint8(at + ERROR_ORIGIN)
    into.icmpType = view.getUint8(at + ERROR_TYPE)
    into.icmpCode = view.getUint8(at + ERROR_CODE)
    into.information = view.getUint32(at + ERROR_INFORMATION, true)
    into.destinationPort = 0
    if (this.#table.nameLength(0) > 0) {
      into.destinationPort = Math.max(0, readSocketAddress(view, this.#name, into.destination))
    }
    // Without a reporter, the address family is "unspecified".
    if (readSocketAddress(view, at + ERROR_BYTES, into.reporter) < 0) {
      into.reporter.copyFrom(into.destination.isV4 ? UNSPECIFIED_V4 : UNSPECIFIED_V6)
    }
    into.payloadOffset = this.#quote
    into.payloadLength = this.#table.resultLength(0)
  }
}
