import type { SynOptions } from "../connection/handshake.ts"

/** TCP (RFC 9293, section 3.1): offsets in bytes from the start of the header, and the options we read. */
export const TCP_HEADER_LENGTH = 20
export const TCP_SOURCE_PORT = 0
export const TCP_TARGET_PORT = 2
export const TCP_SEQUENCE = 4
export const TCP_ACKNOWLEDGEMENT = 8
/** Header length in 32-bit words, in the upper four bits. */
export const TCP_DATA_OFFSET = 12
export const TCP_FLAGS = 13
export const TCP_WINDOW = 14
export const TCP_CHECKSUM = 16
export const TCP_URGENT = 18

const OPTION_END = 0
const OPTION_NOTHING = 1
const OPTION_MAXIMUM_SEGMENT_SIZE = 2
const OPTION_WINDOW_SCALE = 3

const MAXIMUM_WINDOW_SCALE = 14

/**
 * Reads the options between two arena offsets. Unknown ones are skipped. An option that extends beyond the end stops
 * the reading.
 */
export function readSynOptions(view: DataView, start: number, end: number, into: SynOptions): void {
  into.maximumSegmentSize = 0
  into.windowScale = -1
  let position = start
  while (position < end) {
    const kind = view.getUint8(position)
    if (kind === OPTION_END) return
    if (kind === OPTION_NOTHING) {
      position++
      continue
    }
    // RFC 9293 3.1 MUST: an option of an impossible length does no harm. Unknown ones are ignored.
    if (position + 2 > end) return
    const length = view.getUint8(position + 1)
    if (length < 2 || position + length > end) return
    if (kind === OPTION_MAXIMUM_SEGMENT_SIZE && length === 4) into.maximumSegmentSize = view.getUint16(position + 2)
    if (kind === OPTION_WINDOW_SCALE && length === 3) {
      // RFC 7323 2.3 MUST: a larger shift than 14 counts as 14.
      into.windowScale = Math.min(view.getUint8(position + 2), MAXIMUM_WINDOW_SCALE)
    }
    position += length
  }
}

/** Returns the length of the options that {@link writeSynOptions} writes, bytes. */
export function synOptionsLength(windowScale: number): number {
  return windowScale < 0 ? 4 : 8
}

/** Writes our own SYN options; `windowScale` is -1 to omit that option. */
export function writeSynOptions(view: DataView, offset: number, mss: number, windowScale: number): void {
  view.setUint16(offset, (OPTION_MAXIMUM_SEGMENT_SIZE << 8) | 4)
  view.setUint16(offset + 2, mss)
  if (windowScale < 0) return
  view.setUint32(offset + 4, ((OPTION_WINDOW_SCALE << 24) | (3 << 16) | (windowScale << 8) | OPTION_NOTHING) >>> 0)
}
