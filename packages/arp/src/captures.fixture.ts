/**
 * ARP packets, in hexadecimal, that clients sent while they configured 192.0.2.2 on a link with the gateway 192.0.2.1.
 * Captured with the packages of Debian 12: dhcpcd 9.4.1, NetworkManager 1.42.4, and Linux itself.
 */
export const ARP_CAPTURES = {
  /** RFC 5227, section 2.1.1. */
  dhcpcdProbe: "000108000604000100005e00530200000000000000000000c0000202",
  /** RFC 5227, section 2.3. */
  dhcpcdAnnouncement: "000108000604000100005e005302c0000202000000000000c0000202",
  networkManagerAnnouncement: "000108000604000100005e005302c0000202000000000000c0000202",
  linuxRequest: "000108000604000100005e005302c0000202000000000000c0000201",
} as const
