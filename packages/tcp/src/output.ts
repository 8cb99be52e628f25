/** Segments to the guest: headers written in place, addressed by the connection's own tap side. */
import type { Arena, Demiflow, Guest } from "@demiflow/core"
import { IpProtocol } from "@demiflow/core"
import type { TcpConnection } from "./connection.ts"
import { mssIn } from "./path-mtu.ts"
import type { Segment } from "./segment.ts"
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
  TcpFlag,
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

  /** Payload bytes of a segment from the guest at most, which our SYN names. */
  ownMss(isV4: boolean): number {
    return mssIn(this.#guest.mtu, isV4)
  }

  /** Begins a data segment: answers where its TCP header is to stand, payload following; -1 if there is no room. */
  begin(connection: TcpConnection, payloadRoom: number): number {
    return this.#guest.begin(connection.tapSide, IpProtocol.tcp, TCP_HEADER_LENGTH + payloadRoom)
  }

  /** Takes back what was begun and not ended, from this one on. */
  abandon(offset: number): void {
    this.#guest.abandon(offset)
  }

  /** Ends a data segment with `length` bytes of payload that begin at sequence number `sequence`. */
  end(connection: TcpConnection, offset: number, sequence: number, flags: number, length: number): void {
    this.#writeHeader(connection, offset, sequence, flags | TcpFlag.acknowledgement)
    const segmentSize = length > connection.mssToTap ? connection.mssToTap : 0
    this.#guest.end(
      offset,
      TCP_HEADER_LENGTH + length,
      TCP_CHECKSUM,
      segmentSize,
      TCP_HEADER_LENGTH,
      connection.trafficClassToTap,
    )
  }

  /** Sends a segment without payload; false if there was no room. */
  sendEmpty(connection: TcpConnection, sequence: number, flags: number): boolean {
    const offset = this.begin(connection, 0)
    if (offset < 0) return false
    this.#writeHeader(connection, offset, sequence, flags | TcpFlag.acknowledgement)
    this.#guest.end(offset, TCP_HEADER_LENGTH, TCP_CHECKSUM, 0, 0, connection.trafficClassToTap)
    return true
  }

  /**
   * Sends our SYN. Its window isn't scaled (RFC 7323, section 2.2).
   *
   * @param flags besides SYN: the acknowledgement of the guest's, if that is here
   * @param windowScale -1 to offer none
   */
  sendSyn(connection: TcpConnection, flags: number, windowScale: number): void {
    const length = TCP_HEADER_LENGTH + synOptionsLength(windowScale)
    const offset = this.#guest.begin(connection.tapSide, IpProtocol.tcp, length)
    if (offset < 0) return
    this.#writeHeader(connection, offset, connection.initialToTap, TcpFlag.syn | flags)
    const view = this.#arena.view
    view.setUint8(offset + TCP_DATA_OFFSET, (length / 4) << 4)
    view.setUint16(offset + TCP_WINDOW, Math.min(connection.windowToTap, 0xffff))
    const mss = this.ownMss(connection.tapSide.isV4)
    writeSynOptions(view, offset + TCP_HEADER_LENGTH, mss, windowScale)
    this.#guest.end(offset, length, TCP_CHECKSUM, 0, 0, connection.trafficClassToTap)
  }

  /**
   * Resets a connection that there is. The guest takes a reset only with the very number that it expects (RFC 5961,
   * section 3.2): which one that is depends on whether it got what is in flight, so a reset goes out for either.
   */
  sendReset(connection: TcpConnection): void {
    if (connection.ackFromTap !== connection.seqToTapHighest) {
      this.sendEmpty(connection, connection.ackFromTap, TcpFlag.reset)
    }
    this.sendEmpty(connection, connection.seqToTapHighest, TcpFlag.reset)
  }

  /** Answers a segment that belongs to no connection with a reset (RFC 9293, section 3.10.7.1). */
  refuse(tapSide: Demiflow, segment: Segment): void {
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
    view.setInt32(offset + TCP_ACKNOWLEDGEMENT, connection.ackToTap)
    view.setUint8(offset + TCP_DATA_OFFSET, PLAIN_HEADER)
    view.setUint8(offset + TCP_FLAGS, flags)
    const window = Math.min(connection.windowToTap >> connection.windowScaleToTap, 0xffff)
    view.setUint16(offset + TCP_WINDOW, window)
    view.setUint16(offset + TCP_CHECKSUM, 0)
    view.setUint16(offset + TCP_URGENT, 0)
  }
}
