import { Demiflow, type FlowIndex, Interface, NO_MARKS, NO_SOCKET, type Socket } from "@demiflow/core"
import type { Waiting } from "@demiflow/protocol-kit"
import { Connection } from "../connection/connection.ts"
import type { Held } from "./hold-pool.ts"

/** The place of a connection whose handshake isn't finished: see half-open.ts. */
export interface Beginning {
  /** Called once the handshake is finished, or the connection has ended. */
  finish(): void
}

/** A contiguous run of out-of-order payload: see out-of-order.ts. */
export interface Island extends Held {
  /** Sequence number of its first byte. */
  start: number
}

/**
 * A connection, and what it runs on: its flow, the host's socket, held payload. Objects are pooled and keep one shape.
 */
export class TcpConnection extends Connection implements Held, Waiting {
  flow: FlowIndex = -1 as FlowIndex
  socket: Socket = NO_SOCKET
  /** The tap side: the addresses and ports of segments to the guest. */
  readonly tapSide: Demiflow = new Demiflow(Interface.tap)
  /** Hop limit and traffic class of the guest's segments, with which the host's socket sends. */
  marks: number = NO_MARKS
  /** Traffic class of segments to the guest, if it is known. */
  trafficClassToGuest = 0
  /** Acknowledged payload that hasn't been discarded from the host's socket yet, bytes. */
  undiscardedBytes = 0
  /** Frames that the next peek reads into. */
  peekFrames = 1
  /** The place of the connection while its handshake isn't finished: see half-open.ts. */
  beginning: Beginning | undefined = undefined
  /** True once the host has refused the port of its side that was wanted, and was asked for any. */
  isFromAnyPort = false

  // Times in clock milliseconds; -1 is none.
  /** When the host was made to probe the correspondent, if that hasn't answered. */
  askedAt = -1
  /** The deadline in the flow table. */
  scheduledAt = -1
  /** When the correspondent's acknowledgements are polled next, and the neighbours in the poll wheel: poll-wheel.ts. */
  pollAt = -1
  pollNext: TcpConnection | undefined = undefined
  pollPrevious: TcpConnection | undefined = undefined

  // Flags for places in lists. They belong to the object, not the connection: its next user finds the object listed.
  isAckListed = false
  isWaiting = false

  /** Payload ahead of the expected number (out-of-order.ts); undefined until the first. */
  islands: Island[] | undefined = undefined

  // Payload that the host didn't take: see hold-pool.ts.
  heldBytes = 0
  heldFirst = -1
  heldLast = -1
  heldStart = 0

  get needsGuest(): boolean {
    return true
  }

  override reset(): void {
    super.reset()
    this.flow = -1 as FlowIndex
    this.socket = NO_SOCKET
    this.marks = NO_MARKS
    this.trafficClassToGuest = 0
    this.undiscardedBytes = 0
    this.peekFrames = 1
    this.isFromAnyPort = false
    this.askedAt = -1
    this.scheduledAt = -1
  }
}
