/** The names, states and options of a connection of the guest. */
import type { Address } from "@demiflow/core"
import type { TcpOptions } from "../packets/tcp-options.ts"

/** States of RFC 9293, section 3.3.2, of an existing connection. */
export type GuestConnectionState =
  | "synSent"
  | "synReceived"
  | "established"
  | "finWait1"
  | "finWait2"
  | "closeWait"
  | "closing"
  | "lastAck"
  | "timeWait"
  | "closed"

/** Why a connection ended before both ends had ended it in order. */
export type GuestConnectionFailure = "refused" | "reset" | "resetByUs" | "vanished" | "unreachable" | "timedOut"

/** How a connection behaves. */
export interface GuestConnectionOptions {
  /** Bytes of the receive buffer: the largest window. 65,535 by default. */
  readonly receiveBuffer?: number
  /**
   * Shift count for the window, 0–14, or "none" for no option. Lowered where the receive buffer would be
   * smaller than one unit of the scale: such a window would never open.
   */
  readonly windowScale?: number | "none"
  /** Largest segment that the connection accepts, bytes; the MTU less the headers by default. */
  readonly mss?: number
  /** Milliseconds for which an acknowledgement may be delayed; 0 to acknowledge each segment at once. */
  readonly acknowledgementDelay?: number
  /** True if segments are cut at random places. */
  readonly cutsAtRandom?: boolean
  /** True if the link splits segments, where it can. */
  readonly usesSegmentationOffload?: boolean
  /** True if each read is announced at once, however little the window grows. */
  readonly advertisesEveryWindow?: boolean
  /** Milliseconds in timeWait. */
  readonly timeWait?: number
  /** First sequence number; random if not given. */
  readonly initialSequence?: number
}

/** The four numbers that name a connection. */
export interface ConnectionEnds {
  readonly address: Address
  readonly port: number
  /** The other end, as the guest sees it. */
  readonly otherAddress: Address
  readonly otherPort: number
}

/** A segment to be sent. */
export interface OutgoingSegment {
  readonly flags: string
  readonly sequence: number
  readonly acknowledgement: number
  readonly window: number
  readonly options?: TcpOptions
  readonly bytes?: Uint8Array
}
