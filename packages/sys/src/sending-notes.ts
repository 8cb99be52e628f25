import { type Address, type Arena, hopLimitIn, trafficClassIn } from "@demiflow/core"
import { IpOption, Ipv6Option, SocketLevel } from "./constants.ts"
import { CONTROL_HEADER_BYTES, controlSpace, writeControlHeader } from "./control-message.ts"

const V4_INFORMATION_BYTES = 12
const V6_INFORMATION_BYTES = 20
const MARK_BYTES = 4

/** Bytes that the notes take at most. */
export const SENDING_NOTES_BYTES: number = controlSpace(V6_INFORMATION_BYTES) + 2 * controlSpace(MARK_BYTES)

/**
 * Control messages that are the same for all datagrams of a sending call: the source address (`struct in_pktinfo`,
 * ip(7), and `struct in6_pktinfo`, ipv6(7)), the hop limit and the traffic class. Unlike the socket options, they also
 * apply to datagrams to groups, which otherwise have a hop limit of their own.
 */
export class SendingNotes {
  /** Arena offset. */
  readonly offset: number
  /** Bytes; 0 if there are none. */
  length = 0
  readonly #view: DataView

  constructor(arena: Arena) {
    this.#view = arena.view
    this.offset = arena.reserve(SENDING_NOTES_BYTES, 8, "the sockets of Linux")
  }

  /** Adds the source address. `scope` is the index of its interface for IPv6, or 0. */
  addSource(address: Readonly<Address>, scope: number): void {
    const view = this.#view
    if (address.isV4) {
      const data = this.#add(SocketLevel.ip, IpOption.packetInformation, V4_INFORMATION_BYTES)
      view.setInt32(data, 0)
      address.writeV4(view, data + 4)
      view.setInt32(data + 8, 0)
    } else {
      const data = this.#add(SocketLevel.ipv6, Ipv6Option.packetInformation, V6_INFORMATION_BYTES)
      address.writeV6(view, data)
      view.setInt32(data + 16, scope, true)
    }
  }

  /** Adds hop limit and traffic class of marks, for one IP version, where they differ from a new socket's. */
  addMarks(isV4: boolean, marks: number): void {
    const hopLimit = hopLimitIn(marks)
    const trafficClass = trafficClassIn(marks)
    if (isV4) {
      if (hopLimit > 0) this.#addMark(SocketLevel.ip, IpOption.timeToLive, hopLimit)
      if (trafficClass > 0) this.#addMark(SocketLevel.ip, IpOption.typeOfService, trafficClass)
    } else {
      if (hopLimit > 0) this.#addMark(SocketLevel.ipv6, Ipv6Option.hopLimit, hopLimit)
      if (trafficClass > 0) this.#addMark(SocketLevel.ipv6, Ipv6Option.trafficClass, trafficClass)
    }
  }

  #addMark(level: number, type: number, value: number): void {
    this.#view.setInt32(this.#add(level, type, MARK_BYTES), value, true)
  }

  /** Adds a control message. Returns the offset of its data. */
  #add(level: number, type: number, dataBytes: number): number {
    const at = this.offset + this.length
    writeControlHeader(this.#view, at, level, type, dataBytes)
    this.length += controlSpace(dataBytes)
    return at + CONTROL_HEADER_BYTES
  }
}
