/**
 * The state of a network: interfaces, their addresses and routes. Plain values. `@demiflow/sys` fills them in from
 * rtnetlink, `@demiflow/config` decides from them what the guest gets, and they also describe how to set up the guest's
 * namespace.
 */
import type { Address } from "./address.ts"
import type { MacAddress } from "./mac-address.ts"

/** A network interface. */
export interface NetworkInterface {
  /** Kernel's interface index, from 1. */
  readonly index: number
  readonly name: string
  /** Absent where the interface has none, like a TUN device. */
  readonly macAddress: MacAddress | undefined
  /** Bytes of payload in a frame. */
  readonly mtu: number
  readonly isUp: boolean
  readonly isLoopback: boolean
}

/** A netlink attribute that is passed on unchanged. Only the kernel interprets it. */
export interface RawAttribute {
  /** Its number, without flags: RTA_* of a route, IFA_* of an address. */
  readonly type: number
  /** Its content, 0–255 each, as the kernel wrote it. */
  readonly bytes: readonly number[]
}

/** An address configured on an interface. */
export interface InterfaceAddress {
  readonly interfaceIndex: number
  readonly address: Address
  /** 0–32 for IPv4, 0–128 for IPv6. */
  readonly prefixLength: number
  /** rtnetlink scope: 0 global, 253 link, 254 host. */
  readonly scope: number
  /** rtnetlink IFA_F_* bits. */
  readonly flags: number
  /** Other end of a point-to-point link, when there is one. */
  readonly pointToPoint?: Address
  /** Broadcast address of its network (IPv4), when there is one. */
  readonly broadcast?: Address
  /** Metric of the route that the kernel adds for the prefix; absent: the kernel's default. */
  readonly routeMetric?: number
  /** Other attributes that belong to the address. */
  readonly attributes?: readonly RawAttribute[]
}

/** A next hop: an interface and, unless on link, a gateway. */
export interface NextHop {
  readonly interfaceIndex: number
  readonly gateway: Address | undefined
  /** Relative weight in a multipath route, 1–256. */
  readonly weight: number
  /** rtnetlink RTNH_F_* bits (4 is on-link). */
  readonly flags: number
  /** Other attributes of this hop of a multipath route: encapsulation, realm. */
  readonly attributes?: readonly RawAttribute[]
}

/** A route of a table. */
export interface Route {
  /** True for IPv4. */
  readonly isV4: boolean
  /** Absent for the default route. */
  readonly prefix: Address | undefined
  /** 0 for the default route. */
  readonly prefixLength: number
  /** IPv6: only packets from this prefix take the route; absent: packets from everywhere. */
  readonly sourcePrefix?: Address
  /** 0–128; absent without `sourcePrefix`. */
  readonly sourcePrefixLength?: number
  /** IPv4: only packets with this type of service take the route; absent: any. */
  readonly typeOfService?: number
  /** rtnetlink table, 254 is main. */
  readonly table: number
  /** rtnetlink route type: 1 unicast, 2 local, 3 broadcast, … */
  readonly type: number
  /** rtnetlink scope. */
  readonly scope: number
  /** rtnetlink protocol: what installed the route. */
  readonly protocol: number
  /** Smaller wins; undefined where the kernel has none. */
  readonly metric: number | undefined
  readonly preferredSource: Address | undefined
  /** One entry, several for a multipath route, none for unreachable and the like. */
  readonly nextHops: readonly NextHop[]
  /** Other attributes: MTU, advertised MSS and other metrics, router preference, encapsulation, … */
  readonly attributes?: readonly RawAttribute[]
}

/** The whole state at one moment. Routes are in the order in which the kernel listed them. */
export interface HostNetwork {
  readonly interfaces: readonly NetworkInterface[]
  readonly addresses: readonly InterfaceAddress[]
  readonly routes: readonly Route[]
}
