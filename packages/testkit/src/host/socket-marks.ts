/** The marks of a simulated socket, set by the calls of these names of core's `Sockets`. */
export class SocketMarks {
  /** 0: the host's default. */
  hopLimit = 0
  trafficClass = 0
  /** Whether too large packets are fragmented: undefined while the host discovers the path's MTU by itself. */
  isFragmentable: boolean | undefined = undefined
}

/** Hop limit of sockets without one of their own. */
export const DEFAULT_HOP_LIMIT = 64
/** The two bits of the traffic class that the kernel controls on TCP sockets: ECN (RFC 3168). */
export const KERNEL_TRAFFIC_CLASS = 0x03

/** A packet on its way to the world. */
export interface Leaving {
  readonly bytes: Uint8Array
  readonly hopLimit: number
  readonly trafficClass: number
}
