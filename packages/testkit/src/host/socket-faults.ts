/** Random faults and delays, all of which a kernel may show. */
export interface SocketFaults {
  /** Probability that `send` takes less than there is room for, or nothing. */
  readonly partialSend: number
  /** Probability that an event is reported late. */
  readonly lateEvent: number
  /** The maximum delay of an event, milliseconds. */
  readonly lateness: number
  /** Probability, each time events are reported, of a spurious one. */
  readonly spuriousEvent: number
  /**
   * Probability, before each call and before events are polled, that the world acts first: data, an end, a reset, an
   * error, an acknowledgement or a connection arrives, or an attempt to connect has its outcome.
   */
  readonly betweenCalls: number
  /** Maximum number of such events before one call. */
  readonly mostBetweenCalls: number
}

/** A host without random faults. */
export const NO_SOCKET_FAULTS: SocketFaults = {
  partialSend: 0,
  lateEvent: 0,
  lateness: 0,
  spuriousEvent: 0,
  betweenCalls: 0,
  mostBetweenCalls: 1,
}
