/** A guest's question for the Ethernet address of 10.0.2.2: RFC 826. */
export const arpRequest = Uint8Array.from([
  ...[255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6],
  ...[0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2],
])

/** @param {Uint8Array} frame */
export function isArpReply(frame) {
  return frame[12] === 8 && frame[13] === 6 && frame[21] === 2
}
