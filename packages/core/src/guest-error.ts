/** An ICMP error from the guest's side about a packet that it was sent: from the guest itself, or from a router behind it. */
export interface GuestError {
  /** ICMP or ICMPv6 type and code, as the version of IP is. */
  type: number
  code: number
  /** The next hop's MTU, bytes, as "too big" tells it; else, and where an old router doesn't know, 0. */
  mtu: number
  /** Where in the arena the transport header of the packet is quoted, and bytes that are quoted from there on: 8 at least. */
  quoteOffset: number
  quoteLength: number
}
