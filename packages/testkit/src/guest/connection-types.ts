/** What a connection of the guest is called by, made with, and has around it. */
import type { Address } from "@demiflow/core"
import type { TcpOptions } from "../packets/tcp-options.ts"
import type { SeededRandom } from "../seeded-random.ts"
import type { VirtualClock } from "../virtual-clock.ts"
import type { GuestConnection } from "./guest-connection.ts"

/** States of RFC 9293, section 3.3.2, as far as a connection that exists can be in them. */
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

/** Why a connection ended without both ends having ended it in order. */
export type GuestConnectionFailure = "refused" | "reset" | "resetByUs" | "vanished" | "unreachable" | "timedOut"

/** How a connection behaves. */
export interface GuestConnectionOptions {
  /** Bytes of the receive buffer: the largest window. 65,535 by default. */
  readonly receiveBuffer?: number
  /**
   * Shift count for the window, 0–14, or "none" to go without the option. Lowered where the receive buffer would be
   * less than the unit that it makes: such a window would never open.
   */
  readonly windowScale?: number | "none"
  /** Largest segment that it takes, bytes; the MTU less the headers by default. */
  readonly mss?: number
  /** Milliseconds that an acknowledgement may wait for company; 0 to acknowledge each segment at once. */
  readonly acknowledgementDelay?: number
  /** True if segments are cut at places chosen by chance. */
  readonly cutsAtRandom?: boolean
  /** True if the link is left to cut segments, where it can. */
  readonly usesSegmentationOffload?: boolean
  /** True if each read is announced at once, however small the window grows by it. */
  readonly tellsEveryWindow?: boolean
  /** Milliseconds in timeWait. */
  readonly timeWait?: number
  /** First sequence number; by chance if not given. */
  readonly initialSequence?: number
}

/** The four numbers that name a connection. */
export interface ConnectionEnds {
  readonly address: Address
  readonly port: number
  /** The other end: what the guest takes for it. */
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

/** What a connection needs around it. */
export interface ConnectionSurroundings {
  readonly clock: VirtualClock
  readonly random: SeededRandom
  /** Bytes of the link's largest IP packet. */
  readonly mtu: number
  /** True if the link cuts segments. */
  readonly cutsSegments: boolean
  send(connection: GuestConnection, segment: OutgoingSegment): void
  /** The connection is gone. */
  forget(connection: GuestConnection): void
  violation(what: string): void
}
