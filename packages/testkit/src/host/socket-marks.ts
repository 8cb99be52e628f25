/** How a simulated socket sends: what the calls of core's `Host` of these names set. */
export class SocketMarks {
  /** 0: the host's default. */
  hopLimit = 0
  trafficClass = 0
  /** Whether what is too large is fragmented: undefined as long as the host finds the path's MTU out by itself. */
  isFragmentable: boolean | undefined = undefined
}

/** Hop limit of sockets that were given none. */
export const DEFAULT_HOP_LIMIT = 64
/** The two bits of the traffic class that a TCP socket's kernel has for itself: ECN (RFC 3168). */
export const KERNEL_TRAFFIC_CLASS = 0x03

/** A packet on its way to the world. */
export interface Leaving {
  readonly bytes: Uint8Array
  readonly hopLimit: number
  readonly trafficClass: number
}
