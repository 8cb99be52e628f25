import { type Arena, type Sequence, streamMarksOf } from "@demiflow/core"
import {
  TCP_ACKNOWLEDGEMENT,
  TCP_DATA_OFFSET,
  TCP_FLAGS,
  TCP_HEADER_LENGTH,
  TCP_SEQUENCE,
  TCP_WINDOW,
  TcpFlag,
} from "./wire.ts"

/** A segment from the guest, as a value. One scratch instance serves all. */
export class Segment {
  /** Arena offsets of header, payload, and the end of the payload. */
  headerOffset = 0
  payloadOffset = 0
  endOffset = 0
  sequence = 0
  acknowledgement = 0
  flags = 0
  /** As it stands in the header, unscaled. */
  window = 0
  /** Hop limit and traffic class: core's `streamMarksOf`. */
  marks = 0

  /** Payload bytes. */
  get length(): number {
    return this.endOffset - this.payloadOffset
  }

  /** Room in sequence numbers: payload, and one each for SYN and FIN. */
  get sequenceLength(): number {
    const flags = this.flags
    return this.endOffset - this.payloadOffset + ((flags & TcpFlag.syn) >> 1) + (flags & TcpFlag.fin)
  }

  /** Reads packet `index` of a sequence; false if its header isn't whole. */
  read(arena: Arena, sequence: Sequence, index: number): boolean {
    const start = sequence.transportOffset[index]
    const end = sequence.endOffset[index]
    if (end - start < TCP_HEADER_LENGTH) return false
    const view = arena.view
    const headerLength = (view.getUint8(start + TCP_DATA_OFFSET) >> 4) * 4
    if (headerLength < TCP_HEADER_LENGTH || start + headerLength > end) return false
    this.headerOffset = start
    this.payloadOffset = start + headerLength
    this.endOffset = end
    this.sequence = view.getInt32(start + TCP_SEQUENCE)
    this.acknowledgement = view.getInt32(start + TCP_ACKNOWLEDGEMENT)
    this.flags = view.getUint8(start + TCP_FLAGS)
    this.window = view.getUint16(start + TCP_WINDOW)
    this.marks = streamMarksOf(sequence, index)
    return true
  }
}
