/** Segments to the guest: headers are written in place, with the addresses of the connection's tap side. */
import type { Arena, Demiflow, Guest } from "@demiflow/core"
import { IpProtocol } from "@demiflow/core"
import { TcpFlag } from "../connection/segment.ts"
import { mssIn } from "./path-mtu.ts"
import type { ReceivedSegment } from "./received-segment.ts"
import type { TcpConnection } from "./tcp-connection.ts"
import {
  synOptionsLength,
  TCP_ACKNOWLEDGEMENT,
  TCP_CHECKSUM,
  TCP_DATA_OFFSET,
  TCP_FLAGS,
  TCP_HEADER_LENGTH,
  TCP_SEQUENCE,
  TCP_SOURCE_PORT,
  TCP_TARGET_PORT,
  TCP_URGENT,
  TCP_WINDOW,
  writeSynOptions,
} from "./wire.ts"

const PLAIN_HEADER = (TCP_HEADER_LENGTH / 4) << 4

export class SegmentWriter {
  readonly #arena: Arena
  readonly #guest: Guest

  constructor(arena: Arena, guest: Guest) {
    this.#arena = arena
    this.#guest = guest
  }

  /** Maximum payload bytes of a segment from the guest: the MSS of our SYN. */
  ownMss(isV4: boolean): number {
    return mssIn(this.#guest.mtu, isV4)
  }

  /** Begins a data segment. Returns the offset of its TCP header, which payload follows; -1 if there is no room. */
  begin(connection: TcpConnection, payloadRoom: number): number {
    return this.#guest.begin(connection.tapSide, IpProtocol.tcp, TCP_HEADER_LENGTH + payloadRoom)
  }

  /** Abandons begun segments, from this one on. */
  abandon(offset: number): void {
    this.#guest.abandon(offset)
  }

  /** Ends a data segment with `length` bytes of payload from sequence number `sequence` on. */
  end(connection: TcpConnection, offset: number, sequence: number, flags: number, length: number): void {
    this.#writeHeader(connection, offset, sequence, flags | TcpFlag.acknowledgement)
    const segmentSize = length > connection.sender.mssToGuest ? connection.sender.mssToGuest : 0
    this.#guest.end(
      offset,
      TCP_HEADER_LENGTH + length,
      TCP_CHECKSUM,
      segmentSize,
      TCP_HEADER_LENGTH,
      connection.trafficClassToGuest,
    )
  }

  /** True if {@link SegmentWriter.begin} would succeed now, for each of `segments` one after another. */
  hasRoom(payloadRoom: number, segments: number): boolean {
    return this.#guest.hasRoom(TCP_HEADER_LENGTH + payloadRoom, segments)
  }

  /** Sends a segment without payload. Returns false if there is no room. */
  sendEmpty(connection: TcpConnection, sequence: number, flags: number): boolean {
    const offset = this.begin(connection, 0)
    if (offset < 0) return false
    this.#writeHeader(connection, offset, sequence, flags | TcpFlag.acknowledgement)
    this.#guest.end(offset, TCP_HEADER_LENGTH, TCP_CHECKSUM, 0, 0, connection.trafficClassToGuest)
    return true
  }

  /**
   * Sends our SYN. Its window isn't scaled (RFC 7323, section 2.2).
   *
   * @param flags besides SYN: the acknowledgement of the guest's SYN, if that has come
   * @param windowScale -1 to offer none
   */
  sendSyn(connection: TcpConnection, flags: number, windowScale: number): void {
    const length = TCP_HEADER_LENGTH + synOptionsLength(windowScale)
    const offset = this.#guest.begin(connection.tapSide, IpProtocol.tcp, length)
    if (offset < 0) return
    this.#writeHeader(connection, offset, connection.sender.initialToGuest, TcpFlag.syn | flags)
    const view = this.#arena.view
    view.setUint8(offset + TCP_DATA_OFFSET, (length / 4) << 4)
    view.setUint16(offset + TCP_WINDOW, Math.min(connection.receiver.windowToGuest, 0xffff))
    const mss = this.ownMss(connection.tapSide.isV4)
    writeSynOptions(view, offset + TCP_HEADER_LENGTH, mss, windowScale)
    this.#guest.end(offset, length, TCP_CHECKSUM, 0, 0, connection.trafficClassToGuest)
  }

  /**
   * Resets an existing connection. The guest accepts a reset only with the exact number that it expects (RFC 5961,
   * section 3.2). That depends on whether it received what is in flight, so we send a reset for either case.
   */
  sendReset(connection: TcpConnection): void {
    if (connection.sender.ackFromGuest !== connection.sender.seqToGuestHighest) {
      this.sendEmpty(connection, connection.sender.ackFromGuest, TcpFlag.reset)
    }
    this.sendEmpty(connection, connection.sender.seqToGuestHighest, TcpFlag.reset)
  }

  /** Answers a segment that belongs to no connection with a reset (RFC 9293, section 3.10.7.1). */
  refuse(tapSide: Demiflow, segment: ReceivedSegment): void {
    if (segment.flags & TcpFlag.reset) return
    const offset = this.#guest.begin(tapSide, IpProtocol.tcp, TCP_HEADER_LENGTH)
    if (offset < 0) return
    const view = this.#arena.view
    const isAcknowledging = (segment.flags & TcpFlag.acknowledgement) !== 0
    this.#writePorts(tapSide, offset)
    view.setInt32(offset + TCP_SEQUENCE, isAcknowledging ? segment.acknowledgement : 0)
    view.setInt32(offset + TCP_ACKNOWLEDGEMENT, isAcknowledging ? 0 : (segment.sequence + segment.sequenceLength) | 0)
    view.setUint8(offset + TCP_DATA_OFFSET, PLAIN_HEADER)
    view.setUint8(offset + TCP_FLAGS, isAcknowledging ? TcpFlag.reset : TcpFlag.reset | TcpFlag.acknowledgement)
    view.setUint16(offset + TCP_WINDOW, 0)
    view.setUint32(offset + TCP_CHECKSUM, 0)
    this.#guest.end(offset, TCP_HEADER_LENGTH, TCP_CHECKSUM)
  }

  #writePorts(tapSide: Demiflow, offset: number): void {
    const view = this.#arena.view
    view.setUint16(offset + TCP_SOURCE_PORT, tapSide.forwardingPort)
    view.setUint16(offset + TCP_TARGET_PORT, tapSide.correspondentPort)
  }

  #writeHeader(connection: TcpConnection, offset: number, sequence: number, flags: number): void {
    const view = this.#arena.view
    this.#writePorts(connection.tapSide, offset)
    view.setInt32(offset + TCP_SEQUENCE, sequence)
    view.setInt32(offset + TCP_ACKNOWLEDGEMENT, connection.receiver.ackToGuest)
    view.setUint8(offset + TCP_DATA_OFFSET, PLAIN_HEADER)
    view.setUint8(offset + TCP_FLAGS, flags)
    const window = Math.min(connection.receiver.windowToGuest >> connection.receiver.windowScaleToGuest, 0xffff)
    view.setUint16(offset + TCP_WINDOW, window)
    view.setUint16(offset + TCP_CHECKSUM, 0)
    view.setUint16(offset + TCP_URGENT, 0)
  }
}
