/** TCP (RFC 9293, section 3.1): offsets in bytes from the start of the header, flags, and the options we read. */
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

export const TcpFlag = { fin: 1, syn: 2, reset: 4, push: 8, acknowledgement: 16, urgent: 32 } as const

const OPTION_END = 0
const OPTION_NOTHING = 1
const OPTION_MAXIMUM_SEGMENT_SIZE = 2
const OPTION_WINDOW_SCALE = 3

/** RFC 9293, section 3.7.1: what holds if a SYN has no such option. */
export const DEFAULT_MSS_V4 = 536
export const DEFAULT_MSS_V6 = 1220
/** RFC 7323, section 2.3. */
const MAXIMUM_WINDOW_SCALE = 14

/** What a SYN's options say. */
export interface SynOptions {
  /** Payload bytes of a segment; 0 if not given. */
  maximumSegmentSize: number
  /** Shift of later windows, 0–14; -1 if not given. */
  windowScale: number
}

/**
 * Reads the options between two arena offsets. Unknown ones are skipped; a length that leads outside ends the reading
 * (RFC 9293, MUST-7: such options must not disturb us).
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
    if (position + 2 > end) return
    const length = view.getUint8(position + 1)
    if (length < 2 || position + length > end) return
    if (kind === OPTION_MAXIMUM_SEGMENT_SIZE && length === 4) into.maximumSegmentSize = view.getUint16(position + 2)
    if (kind === OPTION_WINDOW_SCALE && length === 3) {
      into.windowScale = Math.min(view.getUint8(position + 2), MAXIMUM_WINDOW_SCALE)
    }
    position += length
  }
}

/** Bytes of the options that {@link writeSynOptions} writes. */
export function synOptionsLength(windowScale: number): number {
  return windowScale < 0 ? 4 : 8
}

/** Writes our own options of a SYN; `windowScale` is -1 to leave that option out. */
export function writeSynOptions(view: DataView, offset: number, mss: number, windowScale: number): void {
  view.setUint16(offset, (OPTION_MAXIMUM_SEGMENT_SIZE << 8) | 4)
  view.setUint16(offset + 2, mss)
  if (windowScale < 0) return
  view.setUint32(offset + 4, ((OPTION_WINDOW_SCALE << 24) | (3 << 16) | (windowScale << 8) | OPTION_NOTHING) >>> 0)
}
