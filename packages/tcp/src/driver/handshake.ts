/** Takes over the guest's SYN, with what its options and the link say. */
import { type Components, IPV4_HEADER_LENGTH, IPV6_HEADER_LENGTH } from "@demiflow/core"
import { askedMss, type SynOptions, takeSyn } from "../connection/handshake.ts"
import { mssIn } from "./path-mtu.ts"
import type { ReceivedSegment } from "./received-segment.ts"
import type { TcpConnection } from "./tcp-connection.ts"
import { readSynOptions, TCP_HEADER_LENGTH } from "./wire.ts"

const options: SynOptions = { maximumSegmentSize: 0, windowScale: -1 }

export function receiveSyn({ arena, guest }: Components, connection: TcpConnection, segment: ReceivedSegment): void {
  readSynOptions(arena.view, segment.headerOffset + TCP_HEADER_LENGTH, segment.payloadOffset, options)
  const { correspondentAddress, isV4 } = connection.tapSide
  const asked = askedMss(options, isV4)
  // The MSS is what the interface's MTU leaves (RFC 9293, section 3.7.1; RFC 6691, section 2).
  guest.noticeMtu?.(isV4, asked + (isV4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH) + TCP_HEADER_LENGTH)
  const fitting = mssIn(guest.pathMtu?.(correspondentAddress) ?? guest.mtu, isV4)
  takeSyn(connection, segment, options.windowScale, Math.min(asked, fitting))
}
