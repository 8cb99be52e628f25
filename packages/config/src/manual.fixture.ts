/** Every option of the manual for both programs, in meaningful command lines. */
export const OPTIONS_OF_BOTH: readonly string[][] = [
  ["-d", "--debug", "--trace", "-q", "--quiet", "-f", "--foreground", "-e", "--stderr"],
  ["--stats", "5", "-l", "/x", "--log-file", "x", "--log-size", "65536", "--runas", "nobody:nogroup"],
  ["-c", "x", "--conf-path", "x", "-p", "x", "--pcap", "x", "-P", "x", "--pid", "x", "-m", "1500", "--mtu", "0"],
  ["-a", "192.0.2.1/24", "--address", "2001:db8::1/64"],
  ["-n", "24", "--netmask", "255.255.255.0"],
  ["-M", "9a:55:9a:55:9a:56", "--mac-addr", "9a:55:9a:55:9a:56", "-g", "192.0.2.1", "--gateway", "fe80::1"],
  ["-i", "eth0", "--interface", "eth0", "-o", "192.0.2.1", "--outbound", "2001:db8::1"],
  ["--outbound-if4", "eth0", "--outbound-if6", "eth0"],
  ["-D", "192.0.2.1", "--dns", "none", "--dns-forward", "192.0.2.1", "--dns-host", "127.0.0.53"],
  ["--no-tcp", "--no-udp", "--no-icmp", "--no-dhcp", "--no-ndp", "--no-dhcpv6", "--no-ra"],
  ["--freebind", "--map-host-loopback", "none", "--no-map-gw", "--map-guest-addr", "none"],
  ["-4", "--ipv4-only"],
  ["-6", "--ipv6-only"],
  ["-H", "guest", "--hostname", "guest", "--fqdn", "guest.example", "--chroot-fallback"],
]
