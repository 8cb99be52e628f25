/**
 * The format: each frame is preceded by its length in bytes, an unsigned 32-bit number in network byte order. There is
 * no greeting and no type. Once the start of a frame is lost, it can't be found again.
 *
 * Source: QEMU's documentation of `-netdev stream` ("stream: … framed with a 32-bit length in network byte order"), and
 * observation of what QEMU sends.
 */

/** Bytes of the length before each frame. */
export const FRAME_LENGTH_BYTES = 4

/**
 * Bytes of the longest frame: the size of QEMU's own buffer, and thus the longest frame that QEMU sends and accepts.
 * Longer than any IP packet with Ethernet header and VLAN tags.
 */
export const LONGEST_STREAM_FRAME: number = 65_536 + 4_096

/**
 * True for a length that a frame may have. Frames are never empty: four zero bytes mean that the stream is out of step,
 * or doesn't carry frames. Lengths below an Ethernet header are possible: a guest may have its network card send such a
 * frame, and the hypervisor passes it on.
 */
export function isFrameLength(length: number): boolean {
  return length > 0 && length <= LONGEST_STREAM_FRAME
}
