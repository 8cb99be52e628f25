/** Control messages, cmsg(3), on 64-bit machines: length (8 bytes), level and type (4 each), data, padding to 8. */

/** Bytes before the data. */
export const CONTROL_HEADER_BYTES = 16

/** Bytes of a control message with `dataBytes` of data, header and padding included. */
export function controlSpace(dataBytes: number): number {
  return CONTROL_HEADER_BYTES + ((dataBytes + 7) & -8)
}

/** Writes the header of a control message at `offset`. Its data starts {@link CONTROL_HEADER_BYTES} further on. */
export function writeControlHeader(
  view: DataView,
  offset: number,
  level: number,
  type: number,
  dataBytes: number,
): void {
  view.setUint32(offset, CONTROL_HEADER_BYTES + dataBytes, true)
  view.setUint32(offset + 4, 0, true)
  view.setInt32(offset + 8, level, true)
  view.setInt32(offset + 12, type, true)
}

/** Offset of the data of the first control message of a kind, or -1 if there is none. */
export function findControlMessage(
  view: DataView,
  offset: number,
  length: number,
  level: number,
  type: number,
): number {
  const end = offset + length
  let at = offset
  while (at + CONTROL_HEADER_BYTES <= end) {
    const messageLength = view.getUint32(at, true)
    if (messageLength < CONTROL_HEADER_BYTES || messageLength > end - at) return -1
    if (view.getInt32(at + 8, true) === level && view.getInt32(at + 12, true) === type) return at + CONTROL_HEADER_BYTES
    at += (messageLength + 7) & -8
  }
  return -1
}
