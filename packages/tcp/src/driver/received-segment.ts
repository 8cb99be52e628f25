import { type Arena, type Sequence, streamMarksOf } from "@demiflow/core"
import { Segment } from "../connection/segment.ts"
import { TCP_ACKNOWLEDGEMENT, TCP_DATA_OFFSET, TCP_FLAGS, TCP_HEADER_LENGTH, TCP_SEQUENCE, TCP_WINDOW } from "./wire.ts"

/** A segment from the guest, and its place in the arena. One scratch instance serves all. */
export class ReceivedSegment extends Segment {
  /** Arena offsets of header, payload, and the end of the payload. */
  headerOffset = 0
  payloadOffset = 0
  endOffset = 0
  /** Hop limit and traffic class: core's `streamMarksOf`. */
  marks = 0

  /** Reads packet `index` of a sequence. Returns false if its header isn't complete. */
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
    this.length = end - start - headerLength
    this.sequence = view.getInt32(start + TCP_SEQUENCE)
    this.acknowledgement = view.getInt32(start + TCP_ACKNOWLEDGEMENT)
    this.flags = view.getUint8(start + TCP_FLAGS)
    this.window = view.getUint16(start + TCP_WINDOW)
    this.marks = streamMarksOf(sequence, index)
    return true
  }
}
