/** An ICMP error about a packet that the guest was sent: from the guest itself, or from a router behind it. */
export interface GuestError {
  /** ICMP or ICMPv6 type and code, as the version of IP is. */
  type: number
  code: number
  /** The next hop's MTU, bytes, if the error is "too big" and names it; else 0. */
  mtu: number
  /** Arena offset of the quoted transport header, and bytes that are quoted from there on: 8 at least. */
  quoteOffset: number
  quoteLength: number
}
