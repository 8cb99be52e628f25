/** An ICMP error about a packet that the guest was sent: from the guest itself, or from a router behind it. */
export interface GuestError {
  /** ICMP or ICMPv6 type and code, as the version of IP is. */
  type: number
  code: number
  /**
   * The next hop's MTU, bytes, if the error is "too big" and names a credible one: 1,280 or more over IPv6; over IPv4 never less
   * than 296, which is the smallest that links have (RFC 1191, section 7.1). Else 0.
   */
  mtu: number
  /** Arena offset of the quoted transport header, and bytes that are quoted from there on: 8 at least. */
  quoteOffset: number
  quoteLength: number
}
