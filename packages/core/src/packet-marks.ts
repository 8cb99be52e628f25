/**
 * Marks of a packet: its hop limit, traffic class and "don't fragment" in one number. The packet leaves the host with
 * the same marks.
 *
 * A socket with one flow takes over the flow's marks: that costs a comparison for each packet, and a socket option only
 * for a change. For a port that flows share, the sending call sets hop limit and class (`DatagramBatch.marks`), and the
 * socket has only "don't fragment".
 */

import type { Sequence } from "./sequence.ts"
import type { Socket } from "./socket.ts"
import type { Sockets } from "./sockets.ts"
import { UDP_HEADER_LENGTH } from "./wire/udp.ts"

/** Marks of a socket that was never given any: it sends with the host's defaults. */
export const NO_MARKS = 0

const HOP_LIMIT = 0xff
const CLASS_SHIFT = 8
const MAY_FRAGMENT = 1 << 16
const DONT_FRAGMENT = 2 << 16
const FRAGMENTATION = MAY_FRAGMENT | DONT_FRAGMENT
/**
 * Bytes of the largest packet that a Linux host never fragments by itself (`net.ipv4.route.min_pmtu`). "Don't fragment"
 * makes no difference up to this size, which saves the many flows with nothing larger a system call.
 */
const NEVER_FRAGMENTED = 552
/**
 * Bytes of the largest datagram whose "don't fragment" is kept, unless the datagram traces a route. A search for the
 * path's MTU (RFC 8899) goes slightly beyond the 1,500 bytes of nearly every link. On larger datagrams, a guest's
 * kernel sets the bit because its own link is wider, and its applications would get an error for what every host
 * fragments.
 */
export const LARGEST_KEPT_WHOLE = 1_536
const ANY_LENGTH = 65_575
/**
 * The largest hop limit of a packet that traces a route: programs that trace routes go up to 30. Systems start at 64 or
 * more, and packets from behind a routing guest have a few less.
 */
const LARGEST_TRACING = 32
/**
 * The marks of a stream. The host makes its segments, so their congestion is the host's too (ECN, RFC 3168,
 * section 6.1).
 */
const STREAM_MARKS = HOP_LIMIT | (0xfc << CLASS_SHIFT)

/**
 * Returns the marks of packet `index` of a sequence, for a socket that sends datagrams.
 *
 * @param before the socket's marks, whose fragmentation bits are kept for a packet that is too small for them to matter
 * @param keptWhole bytes of the largest packet whose "don't fragment" is kept, unless it traces a route; any if not
 *   given
 */
export function marksOf(sequence: Sequence, index: number, before: number, keptWhole: number = ANY_LENGTH): number {
  let fragmentation = MAY_FRAGMENT
  const length = packetLength(sequence, index)
  if (sequence.dontFragment[index] === 1 && (length <= keptWhole || sequence.hopLimit[index] <= LARGEST_TRACING)) {
    fragmentation = length <= NEVER_FRAGMENTED && (before & MAY_FRAGMENT) === 0 ? before & FRAGMENTATION : DONT_FRAGMENT
  }
  return sequence.hopLimit[index] | (sequence.trafficClass[index] << CLASS_SHIFT) | fragmentation
}

/** Bytes of a packet, or of each of the datagrams that it consists of. */
function packetLength({ endOffset, networkOffset, segmentSize, transportOffset }: Sequence, index: number): number {
  const end =
    segmentSize[index] > 0 ? transportOffset[index] + UDP_HEADER_LENGTH + segmentSize[index] : endOffset[index]
  return end - networkOffset[index]
}

/** Returns the marks of packet `index` of a sequence, for a stream of bytes. */
export function streamMarksOf(sequence: Sequence, index: number): number {
  return (sequence.hopLimit[index] | (sequence.trafficClass[index] << CLASS_SHIFT)) & STREAM_MARKS
}

/** Hop limit, 0–255. */
export function hopLimitIn(marks: number): number {
  return marks & HOP_LIMIT
}

/** True for packets that trace a route: some router will report that their hop limit is exhausted. */
export function tracesRoute(marks: number): boolean {
  return hopLimitIn(marks) <= LARGEST_TRACING
}

/** Traffic class, 0–255. */
export function trafficClassIn(marks: number): number {
  return (marks >> CLASS_SHIFT) & 0xff
}

/**
 * Sets a socket's marks for what it sends from now on. Options that the host refuses stay as they were: a packet of the
 * wrong class is better than none.
 *
 * @param isV4 IP version on the host
 * @param before the socket's current marks
 */
export function markSocket(sockets: Sockets, socket: Socket, isV4: boolean, before: number, marks: number): void {
  const changed = before ^ marks
  if ((changed & HOP_LIMIT) !== 0) sockets.setHopLimit(socket, isV4, hopLimitIn(marks))
  if ((changed & (0xff << CLASS_SHIFT)) !== 0) sockets.setTrafficClass(socket, isV4, trafficClassIn(marks))
  setFragmentation(sockets, socket, isV4, before, marks)
}

/** As {@link markSocket}, for fragmentation only. */
export function setFragmentation(sockets: Sockets, socket: Socket, isV4: boolean, before: number, marks: number): void {
  if (((before ^ marks) & FRAGMENTATION) === 0) return
  sockets.setFragmentation(socket, isV4, (marks & DONT_FRAGMENT) === 0)
}
