/**
 * The options of the protocol plug-ins, derived from a configuration. They are plain values that `@demiflow/arp`, `ndp`
 * and `dhcp` take, and nothing here depends on these packages.
 */
import type { Address } from "@demiflow/core"
import type { Configuration, FamilyConfiguration } from "./configuration.ts"

const ADVERTISED_PREFIX_LENGTH = 64

/** Options of `@demiflow/arp` and, in part, `@demiflow/ndp`. */
export interface NeighbourOptions {
  readonly guestAddress: Address | undefined
  /** Addresses that are ours towards the guest. */
  readonly ourAddresses: readonly Address[]
}

/** The advertisements of `@demiflow/ndp`. */
export interface AdvertisementOptions {
  readonly prefix: Address | undefined
  readonly mtu: number | undefined
  readonly nameServers: readonly Address[]
  readonly searchDomains: readonly string[]
  readonly isDefaultRouter: boolean
  readonly hasManagedAddresses: boolean
  readonly hasOtherConfiguration: boolean
}

/** The lease of DHCPv6. */
export interface Dhcpv6LeaseOptions {
  readonly guestAddress: Address | undefined
  readonly nameServers: readonly Address[]
  readonly searchDomains: readonly string[]
  readonly fqdn: string | undefined
}

/** The lease of DHCPv4. */
export interface Dhcpv4LeaseOptions extends Dhcpv6LeaseOptions {
  readonly guestAddress: Address
  readonly prefixLength: number
  readonly serverAddress: Address
  readonly gateway: Address
  readonly mtu: number | undefined
  readonly hostname: string | undefined
}

/** The guest's addresses, for `@demiflow/tap`. */
export interface GuestAddressOptions {
  readonly guestV4?: Address
  readonly guestV6?: Address
  readonly guestV4PrefixLength?: number
  readonly guestV6PrefixLength?: number
  readonly isGuestV4Fixed?: boolean
  readonly isGuestV6Fixed?: boolean
}

/** Which addresses are the guest's. */
export function guestAddressOptions({ v4, v6 }: Configuration): GuestAddressOptions {
  return {
    ...(v4 && {
      guestV4: v4.guestAddress,
      guestV4PrefixLength: v4.prefixLength,
      isGuestV4Fixed: v4.isGuestAddressFixed,
    }),
    ...(v6?.guestAddress && {
      guestV6: v6.guestAddress,
      // The prefix advertised for stateless configuration has 64 bits.
      guestV6PrefixLength: Math.min(v6.prefixLength, ADVERTISED_PREFIX_LENGTH),
      isGuestV6Fixed: v6.isGuestAddressFixed,
    }),
  }
}

/** The host's neighbours, for `@demiflow/tap`. */
export interface HostNeighbourOptions {
  /** Addresses that are ours, and never a neighbour's. */
  readonly ourAddresses: readonly Address[]
  readonly routerV4?: Address
  readonly routerV6?: Address
}

/** Addresses that show no neighbour, and gateways that are the host's, not ours. */
export function hostNeighbourOptions({ v4, v6 }: Configuration): HostNeighbourOptions {
  const ofV4 = standIns(v4)
  const ofV6 = standIns(v6)
  const routerV4 = v4?.gateway && isAmong(v4.gateway, ofV4) ? undefined : v4?.gateway
  const routerV6 = v6?.gateway && isAmong(v6.gateway, ofV6) ? undefined : v6?.gateway
  const linkLocal = v6 === undefined || routerV6?.equals(v6.ourLinkLocal) ? [] : [v6.ourLinkLocal]
  return {
    ourAddresses: [...ofV4, ...ofV6, ...linkLocal],
    ...(routerV4 && { routerV4 }),
    ...(routerV6 && { routerV6 }),
  }
}

/** Addresses that stand for something on the host. */
function standIns(family: FamilyConfiguration | undefined): Address[] {
  const { mapHostLoopback, mapGuestAddress, dnsForward } = family ?? {}
  return [mapHostLoopback, mapGuestAddress, dnsForward].filter((address) => address !== undefined)
}

function isAmong(address: Address, others: readonly Address[]): boolean {
  return others.some((other) => other.equals(address))
}

/** Options of `@demiflow/icmp`. */
export interface IcmpPluginOptions {
  /** Addresses that are ours on the guest's link. */
  readonly ourAddresses: readonly Address[]
}

/** Undefined: no ARP, as IPv4 is off. */
export function arpOptions({ v4 }: Configuration): NeighbourOptions | undefined {
  return v4 && neighbourOptions(v4)
}

/** Undefined: no neighbour discovery. */
export function ndpOptions(
  configuration: Configuration,
): (NeighbourOptions & { readonly routerAdvertisement: AdvertisementOptions | undefined }) | undefined {
  const { v6, protocols, mtu } = configuration
  if (v6 === undefined || !protocols.ndp) return undefined
  const routerAdvertisement = {
    prefix: v6.guestAddress,
    mtu,
    ...advertisedNames(configuration, v6),
    isDefaultRouter: v6.gateway !== undefined,
    hasManagedAddresses: protocols.dhcpv6 && v6.guestAddress !== undefined,
    hasOtherConfiguration: protocols.dhcpv6,
  }
  return {
    ...neighbourOptions(v6),
    routerAdvertisement: protocols.routerAdvertisements ? routerAdvertisement : undefined,
  }
}

/** Undefined: no ICMP. */
export function icmpOptions({ v4, v6, protocols }: Configuration): IcmpPluginOptions | undefined {
  if (!protocols.icmp) return undefined
  const ofV4 = v4 === undefined ? [] : neighbourOptions(v4).ourAddresses
  const ofV6 = v6 === undefined ? [] : [v6.ourLinkLocal, ...neighbourOptions(v6).ourAddresses]
  return { ourAddresses: [...ofV4, ...ofV6] }
}

/** Undefined: no DHCPv4. */
export function dhcpv4Lease(configuration: Configuration): Dhcpv4LeaseOptions | undefined {
  const { v4, protocols, mtu, hostname, fqdn } = configuration
  if (!protocols.dhcp || v4?.gateway === undefined) return undefined
  const { guestAddress, prefixLength, gateway } = v4
  const names = advertisedNames(configuration, v4)
  return { guestAddress, prefixLength, serverAddress: gateway, gateway, mtu, ...names, hostname, fqdn }
}

/** Undefined: no DHCPv6. */
export function dhcpv6Lease(configuration: Configuration): Dhcpv6LeaseOptions | undefined {
  const { v6, protocols, fqdn } = configuration
  if (v6 === undefined || !protocols.dhcpv6) return undefined
  return { guestAddress: v6.guestAddress, ...advertisedNames(configuration, v6), fqdn }
}

function neighbourOptions(family: FamilyConfiguration & { guestAddress: Address | undefined }): NeighbourOptions {
  const { guestAddress, gateway } = family
  const ourAddresses: Address[] = []
  for (const address of [gateway, ...standIns(family)]) {
    if (address === undefined || guestAddress?.equals(address)) continue
    if (!isAmong(address, ourAddresses)) ourAddresses.push(address)
  }
  return { guestAddress, ourAddresses }
}

function advertisedNames(
  configuration: Configuration,
  family: FamilyConfiguration,
): { nameServers: readonly Address[]; searchDomains: readonly string[] } {
  return {
    nameServers: configuration.advertiseNameServers ? family.nameServers : [],
    searchDomains: configuration.advertiseSearchDomains ? configuration.searchDomains : [],
  }
}
