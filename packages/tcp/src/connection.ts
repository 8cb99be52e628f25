import { Demiflow, type FlowIndex, Interface, NO_MARKS, NO_SOCKET, type Socket } from "@demiflow/core"
import { LONG_AGO, MOST_SEGMENTS } from "./guest-queue.ts"
import type { HalfOpenPlace } from "./half-open-place.ts"
import type { Held } from "./hold-pool.ts"
import type { Island } from "./out-of-order.ts"
import { State, type StateId } from "./state.ts"

/** Everything that is known of one connection. Objects are pooled and keep one shape. */
export class TcpConnection implements Held {
  flow: FlowIndex = -1 as FlowIndex
  socket: Socket = NO_SOCKET
  state: StateId = State.closed
  /** The tap side: what segments to the guest are addressed by. */
  readonly tapSide: Demiflow = new Demiflow(Interface.tap)
  /** Hop limit and traffic class with which the host's socket sends: those of the guest's segments. */
  marks: number = NO_MARKS
  /** Traffic class of what the guest is sent, as far as it is known. */
  trafficClassToTap = 0

  // From the guest. Sequence numbers are signed 32-bit integers.
  /** The guest's initial sequence number. */
  initialFromTap = 0
  /** Next sequence number expected from the guest; everything before was accepted. */
  seqFromTap = 0
  /** What we acknowledged last. */
  ackToTap = 0
  /** First sequence number beyond every window that we advertised. It never goes back. */
  windowEdgeToTap = 0
  /** Window that we advertised last, counted from `ackToTap`, bytes. */
  windowToTap = 0
  /** Shift of the windows we advertise; 0 if the guest doesn't scale. */
  windowScaleToTap = 0
  /** Payload bytes accepted since the host's buffers were last asked about. */
  bytesSinceWindowUpdate = 0
  /** Segments that it may have on their way at once (guest-queue.ts), … */
  segmentsFromTap: number = MOST_SEGMENTS
  /** … and when some were lost last, or more were allowed after that: clock milliseconds. */
  lossFromTapAt: number = LONG_AGO
  /** First sequence number that can't have been on its way when they were lost. */
  lossEndFromTap = 0

  // To the guest.
  initialToTap = 0
  /** Next sequence number to be sent. Goes back when everything is sent again after a time-out. */
  seqToTap = 0
  /** First sequence number never sent yet. */
  seqToTapHighest = 0
  /** First sequence number that the guest has not acknowledged. */
  ackFromTap = 0
  /** Window that the guest advertises, bytes. */
  windowFromTap = 0
  windowScaleFromTap = 0
  /** The largest that it ever advertised: no acknowledgement is older than that (RFC 5961, section 5.2). */
  largestWindowFromTap = 0
  /** Sequence number of the segment that the window came from. */
  windowSeqFromTap = 0
  /** Payload bytes of a segment to the guest at most. */
  mssToTap = 0
  /** Acknowledged payload that the host was not asked to discard yet. */
  undiscardedBytes = 0
  /** Frames that the next peek is given room for. */
  peekFrames = 1

  // Loss and congestion on the way to the guest (RFC 5681, 6298, 6582).
  duplicateAcks = 0
  /** While lost segments are sent again, the sequence number that ends it. */
  recoverSeq = 0
  /** In fast recovery. */
  isRecovering = false
  /** All that was unacknowledged is sent again, after a time-out. */
  isResending = false
  /** Bytes that may be in flight; no limit before the first loss. */
  congestionWindow = 0
  slowStartThreshold = 0
  smoothedRtt = -1
  rttVariation = 0
  /** Retransmission time-out, milliseconds. */
  rto = 0
  /** Sequence number whose acknowledgement is timed, and since when; -1 if none is. */
  timedSeq = 0
  timedSince = -1
  /** Time-outs in a row. */
  retries = 0
  /** Since when `retransmitAt` is for asking whether a shut window has opened; -1 if it is not. */
  probingSince = -1
  /** Such questions since then. */
  windowProbes = 0

  /** While its handshake isn't finished: see half-open.ts. */
  halfOpen: HalfOpenPlace | undefined = undefined

  // Times in clock milliseconds; -1 is none.
  retransmitAt = -1
  /** When the last segment of the guest arrived; in `timeWait`, when the host last took some of what is held for it. */
  lastFromTap = 0
  lingerUntil = -1
  /** Questions since then whether it is still there. */
  keepAliveProbes = 0
  /** When the host was made to ask whether the correspondent is still there, which nobody knows yet; else -1. */
  askedAt = -1
  /** When a challenge acknowledgement was sent last. */
  challengedAt = -1
  /** Deadline that is in the flow table. */
  scheduledAt = -1

  /** Round-trip time to the correspondent is so short that what the host took counts as acknowledged. */
  acknowledgesOnAccept = true
  /** Milliseconds between questions for the correspondent's acknowledgements, to begin with. */
  pollInterval = 1
  /** When it is asked next, or -1, and its neighbours there: see poll-wheel.ts. */
  pollAt = -1
  pollNext: TcpConnection | undefined = undefined
  pollPrevious: TcpConnection | undefined = undefined
  /** Since when it has acknowledged nothing more, while anything is open. */
  openSince = 0
  /** The host had no room, for a reason whose end no event reports. */
  isFlushDue = false
  isHostWriteShut = false
  /** A FIN of the guest is accepted, and the host hears of it once all before it is handed over. */
  isHostShutPending = false
  /** The host has more, as far as we know. */
  isHostReadable = false
  isHostEnded = false
  /** The correspondent has ended, and there may be payload before that end. */
  isHostEnding = false
  /** The correspondent marks bytes as urgent: there may be more behind what one peek brings. */
  isHostUrgent = false

  /** The guest is to be sent an acknowledgement … */
  isAckPending = false
  /** … at once, and also if it says nothing new. */
  isAckUrgent = false

  // Places in lists. They belong to the object, not to the connection: its next user finds it there already.
  isAckListed = false
  isPumpListed = false

  /** What is ahead of `seqFromTap`, once anything was: see out-of-order.ts. */
  islands: Island[] | undefined = undefined

  // What the host didn't take: see hold-pool.ts.
  heldBytes = 0
  heldFirst = -1
  heldLast = -1
  heldStart = 0

  /** Bytes sent to the guest and not acknowledged. */
  get inFlight(): number {
    return (this.seqToTap - this.ackFromTap) | 0
  }

  /** Makes a pooled object new again. Numbers that {@link TcpConnection} gets with the SYN are set by the caller. */
  reset(): void {
    this.flow = -1 as FlowIndex
    this.socket = NO_SOCKET
    this.state = State.closed
    this.marks = NO_MARKS
    this.trafficClassToTap = 0
    this.windowEdgeToTap = 0
    this.windowToTap = 0
    this.windowScaleToTap = 0
    this.bytesSinceWindowUpdate = 0
    this.segmentsFromTap = MOST_SEGMENTS
    this.lossFromTapAt = LONG_AGO
    this.windowFromTap = 0
    this.windowScaleFromTap = 0
    this.largestWindowFromTap = 0
    this.undiscardedBytes = 0
    this.peekFrames = 1
    this.duplicateAcks = 0
    this.isRecovering = false
    this.isResending = false
    this.congestionWindow = UNLIMITED
    this.slowStartThreshold = UNLIMITED
    this.smoothedRtt = -1
    this.rttVariation = 0
    this.rto = INITIAL_RTO
    this.timedSince = -1
    this.retries = 0
    this.probingSince = -1
    this.windowProbes = 0
    this.retransmitAt = -1
    this.lingerUntil = -1
    this.keepAliveProbes = 0
    this.askedAt = -1
    this.challengedAt = -1
    this.scheduledAt = -1
    this.acknowledgesOnAccept = true
    this.pollInterval = 1
    this.openSince = 0
    this.isFlushDue = false
    this.isHostWriteShut = false
    this.isHostShutPending = false
    this.isHostReadable = false
    this.isHostEnded = false
    this.isHostEnding = false
    this.isHostUrgent = false
    this.isAckPending = false
    this.isAckUrgent = false
  }
}

/** A window that limits nothing. */
export const UNLIMITED = 0x3fffffff

/** RFC 6298, section 2 (2.1), milliseconds. */
export const INITIAL_RTO = 1000
