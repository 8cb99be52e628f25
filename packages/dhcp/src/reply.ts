import {
  type Address,
  type Components,
  Demiflow,
  IpProtocol,
  type MacAddress,
  type Sequence,
  transportChecksumIsRight,
  UDP_CHECKSUM,
  UDP_HEADER_LENGTH,
  UDP_LENGTH,
  UDP_SOURCE_PORT,
  UDP_TARGET_PORT,
} from "@demiflow/core"

/** On the link only, and a sign that no router handled it. */
const HOP_LIMIT = 255

/** The payload of one datagram of a sequence, or what is wrong with its UDP header (RFC 768). */
export type UdpPayload = Uint8Array | "truncated" | "UDP length" | "checksum"

/** Checks the datagram and answers its payload: a window on the arena, valid during the call. */
export function udpPayload({ arena }: Components, sequence: Sequence, index: number): UdpPayload {
  const offset = sequence.transportOffset[index]
  const available = sequence.endOffset[index] - offset
  if (available < UDP_HEADER_LENGTH) return "truncated"
  const length = arena.view.getUint16(offset + UDP_LENGTH)
  // Clients send one message at a time: several datagrams left together are none.
  if (length < UDP_HEADER_LENGTH || length > available || sequence.segmentSize[index] > 0) return "UDP length"
  if (sequence.checksumTrusted[index] === 0 && !transportChecksumIsRight(arena, sequence, index)) return "checksum"
  return arena.bytes.subarray(offset + UDP_HEADER_LENGTH, offset + length)
}

/** One end of what is sent. */
export interface UdpEnd {
  readonly address: Address
  readonly port: number
}

/** Sends UDP datagrams to the guest. */
export class ReplySender {
  readonly #components: Components
  readonly #side = new Demiflow()

  constructor(components: Components) {
    this.#components = components
  }

  /**
   * Sends one datagram. `emit` writes the payload to the room it gets, and answers its length in bytes.
   *
   * @param station Ethernet address of the client: it may have no IP address yet
   * @param room for the payload, bytes
   * @returns false if the guest takes nothing more this turn
   */
  send(from: UdpEnd, to: UdpEnd, station: MacAddress, room: number, emit: (target: Uint8Array) => number): boolean {
    const { arena, guest } = this.#components
    this.#side.forwardingAddress.copyFrom(from.address)
    this.#side.forwardingPort = from.port
    this.#side.correspondentAddress.copyFrom(to.address)
    this.#side.correspondentPort = to.port
    const offset = guest.begin(this.#side, IpProtocol.udp, UDP_HEADER_LENGTH + room, HOP_LIMIT, station)
    if (offset < 0) return false
    const start = offset + UDP_HEADER_LENGTH
    const length = UDP_HEADER_LENGTH + emit(arena.bytes.subarray(start, start + room))
    arena.view.setUint16(offset + UDP_SOURCE_PORT, from.port)
    arena.view.setUint16(offset + UDP_TARGET_PORT, to.port)
    arena.view.setUint16(offset + UDP_LENGTH, length)
    guest.end(offset, length, UDP_CHECKSUM)
    return true
  }
}
