/** An ICMP error about a packet sent to the guest: from the guest itself, or from a router behind it. */
export interface GuestError {
  /** ICMP or ICMPv6 type and code, by the version of IP. */
  type: number
  code: number
  /**
   * The next hop's MTU, bytes, if the error is "too big" and its MTU is credible: 1,280 or more over IPv6; over IPv4 at
   * least 296, the smallest MTU of any link (RFC 1191, section 7.1). Else 0.
   */
  mtu: number
  /** Arena offset of the quoted transport header, and bytes quoted from there on: at least 8. */
  quoteOffset: number
  quoteLength: number
}
