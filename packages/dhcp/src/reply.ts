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

/** The hop limit of replies: they stay on the link, and 255 shows that no router has forwarded them. */
const HOP_LIMIT = 255

/** The payload of one datagram of a sequence, or what is wrong with its UDP header (RFC 768). */
export type UdpPayload = Uint8Array | "truncated" | "UDP length" | "checksum"

/** Checks a datagram. Returns its payload: a view of the arena, valid during the call. */
export function udpPayload({ arena }: Components, sequence: Sequence, index: number): UdpPayload {
  const offset = sequence.transportOffset[index]
  const available = sequence.endOffset[index] - offset
  if (available < UDP_HEADER_LENGTH) return "truncated"
  const length = arena.view.getUint16(offset + UDP_LENGTH)
  // Clients send one message at a time, so several coalesced datagrams are no messages.
  if (length < UDP_HEADER_LENGTH || length > available || sequence.segmentSize[index] > 0) return "UDP length"
  if (sequence.checksumTrusted[index] === 0 && !transportChecksumIsRight(arena, sequence, index)) return "checksum"
  return arena.bytes.subarray(offset + UDP_HEADER_LENGTH, offset + length)
}

/** One end of a datagram. */
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
   * Sends one datagram. `emit` writes the payload to the space that it gets, and returns its length in bytes.
   *
   * @param station Ethernet address of the client: it may have no IP address yet
   * @param room for the payload, bytes
   * @returns false if the guest takes no more in this turn
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
