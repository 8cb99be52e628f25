/**
 * Neighbour discovery messages that clients sent while they configured themselves on a link of prefix 2001:db8::/64, as
 * ICMPv6 messages in hexadecimal, with their checksums.
 *
 * Captured with the packages of Debian 12: dhcpcd 9.4.1, systemd-networkd 252.38, NetworkManager 1.42.4, and Linux
 * itself. The Windows message is from a published capture; its Ethernet address was replaced.
 */
export interface NdpCapture {
  readonly source: string
  readonly destination: string
  readonly message: string
}

const LINUX = "fe80::200:5eff:fe00:5302"
const ALL_ROUTERS = "ff02::2"

export const ROUTER_SOLICITATIONS: Readonly<
  Record<"linuxDhcpcdAndNetworkd" | "networkManager" | "windows", NdpCapture>
> = {
  linuxDhcpcdAndNetworkd: {
    source: LINUX,
    destination: ALL_ROUTERS,
    message: "8500192900000000010100005e005302",
  },
  networkManager: { source: LINUX, destination: ALL_ROUTERS, message: "8500cb3400000000" },
  windows: {
    source: "fe80::4c70:5f11:449f:cf51",
    destination: ALL_ROUTERS,
    message: "85000bb900000000010100005e005302",
  },
}

/**
 * Duplicate address detection with a nonce (RFC 7527), and an advertisement that announces an address as the client's.
 */
export const OWN_ADDRESSES: Readonly<
  Record<"linkLocal" | "autonomous" | "assigned" | "announced", NdpCapture & { readonly address: string }>
> = {
  linkLocal: {
    address: LINUX,
    source: "::",
    destination: "ff02::1:ff00:5302",
    message: "8700fbf800000000fe8000000000000002005efffe0053020e0135997749c03d",
  },
  autonomous: {
    address: "2001:db8::200:5eff:fe00:5302",
    source: "::",
    destination: "ff02::1:ff00:5302",
    message: "8700b8380000000020010db80000000002005efffe0053020e01137ddd979093",
  },
  assigned: {
    address: "2001:db8::2",
    source: "::",
    destination: "ff02::1:ff00:2",
    message: "8700a5490000000020010db80000000000000000000000020e011f2b2e804bed",
  },
  announced: {
    address: "2001:db8::f13a:1d1b:7280:e9fb",
    source: LINUX,
    destination: "ff02::1",
    message: "88005c8e2000000020010db800000000f13a1d1b7280e9fb020100005e005302",
  },
}
