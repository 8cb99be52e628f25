/**
 * The format, pure: each frame behind its length in bytes, an unsigned 32-bit number in network byte order. There is no
 * greeting, no type, no way to find the start of a frame again once it is lost.
 *
 * Source: QEMU's documentation of `-netdev stream` ("stream: … framed with a 32-bit length in network byte order"), and what
 * it was seen to send.
 */

/** Bytes of the length before each frame. */
export const FRAME_LENGTH_BYTES = 4

/**
 * Bytes of the longest frame: what QEMU's own buffer holds, and thus the longest that it sends and takes. It is longer than
 * any IP packet with Ethernet header and VLAN tags.
 */
export const LONGEST_STREAM_FRAME: number = 65_536 + 4_096

/**
 * True for a length that a frame may have. No one sends a frame of no bytes: four zeros are what a stream that is out
 * of step, or isn't one of frames, looks like. Lengths below an Ethernet header are possible: a guest may ask its
 * network card for such a frame, and the hypervisor passes it on.
 */
export function isFrameLength(length: number): boolean {
  return length > 0 && length <= LONGEST_STREAM_FRAME
}
