/** Milliseconds without traffic after which an echo flow ends: RFC 5508, section 3.2, asks for 60 s at least. */
export const DEFAULT_TIMEOUT = 60_000

/** Options of the ICMP plugin. */
export interface IcmpOptions {
  /** Lifetime of an echo flow without traffic in either direction, milliseconds; 60,000 unless told otherwise. */
  readonly timeout?: number
}
