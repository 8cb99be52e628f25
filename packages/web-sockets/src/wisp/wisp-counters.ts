/** What a relay has sent that it shouldn't have, and what that led to. */
export interface WispCounters {
  /** Messages of text. */
  texts: number
  /** Packets too short for their type, and types that nobody knows. */
  malformed: number
  /** Packets for streams that aren't open: most were on their way when the stream was closed. */
  strays: number
  /** Streams reset because the relay sent more than it had credit for. */
  overCredit: number
  /** Streams reset because the guest was too slow for a relay that waits for nobody. */
  overflows: number
  /** Datagrams that found no room. */
  lostDatagrams: number
  /** WebSockets that have closed or failed. */
  closures: number
}
