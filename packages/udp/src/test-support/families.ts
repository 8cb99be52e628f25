/** Addresses of one version of IP: two of the guest's, one beyond. */
export interface Family {
  readonly guest: string
  readonly other: string
  readonly server: string
  readonly router: string
}

export const families: Readonly<Record<"IPv4" | "IPv6", Family>> = {
  IPv4: { guest: "192.0.2.2", other: "192.0.2.77", server: "198.51.100.7", router: "203.0.113.1" },
  IPv6: { guest: "2001:db8::2", other: "2001:db8::77", server: "2001:db8:1::7", router: "2001:db8:f::1" },
}
