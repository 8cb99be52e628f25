import { finishChecksum } from "@demiflow/core"

/**
 * Completes the checksum of a frame that was left to the link, in a copy of the frame, as it will finally leave the
 * machine. The field holds the sum of the pseudo-header, so the checksum is that of everything from `checksumStart` on.
 *
 * @param frame from the Ethernet header on
 * @param checksumStart of the frame, as in `FrameBatch`; 0 does nothing
 */
export function completeFrame(frame: Uint8Array, checksumStart: number, checksumOffset: number): void {
  const field = checksumStart + checksumOffset
  if (checksumStart <= 0 || field + 2 > frame.length) return
  let sum = 0
  for (let index = checksumStart; index < frame.length; index += 2) {
    sum += (frame[index] << 8) | (index + 1 < frame.length ? frame[index + 1] : 0)
    if (sum > 0xffff) sum -= 0xffff
  }
  // 0 would mean "no checksum" in UDP. Elsewhere 0xffff is equivalent to 0 (RFC 1624, section 3).
  const checksum = finishChecksum(sum) || 0xffff
  frame[field] = checksum >>> 8
  frame[field + 1] = checksum & 0xff
}
