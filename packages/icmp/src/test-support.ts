import { build, type Layer, type MemoryStack, type MemoryStackOptions, memoryStack } from "@demiflow/testkit"
import { type IcmpOptions, icmp } from "./index.ts"

/** Addresses of one version of IP, and types of its messages, some as [type, code]. */
export interface Family {
  readonly version: 4 | 6
  readonly guestAddress: string
  readonly otherAddress: string
  readonly server: string
  readonly gateway: string
  readonly loopback: string
  readonly routers: readonly string[]
  readonly request: number
  readonly reply: number
  readonly timeExceeded: readonly [number, number]
  readonly hostUnreachable: readonly [number, number]
  readonly netUnreachable: readonly [number, number]
  readonly tooBig: readonly [number, number]
}

export const families: readonly Family[] = [
  {
    version: 4,
    guestAddress: "192.0.2.2",
    otherAddress: "192.0.2.77",
    server: "198.51.100.7",
    gateway: "192.0.2.1",
    loopback: "127.0.0.1",
    routers: ["203.0.113.1", "203.0.113.2"],
    request: 8,
    reply: 0,
    timeExceeded: [11, 0],
    hostUnreachable: [3, 1],
    netUnreachable: [3, 0],
    tooBig: [3, 4],
  },
  {
    version: 6,
    guestAddress: "2001:db8::2",
    otherAddress: "2001:db8::77",
    server: "2001:db8:1::7",
    gateway: "fe80::1",
    loopback: "::1",
    routers: ["2001:db8:f::1", "2001:db8:f::2"],
    request: 128,
    reply: 129,
    timeExceeded: [3, 0],
    hostUnreachable: [1, 3],
    netUnreachable: [1, 0],
    tooBig: [2, 0],
  },
]

/** Options of an echo request, which otherwise goes from the guest's first address to the server. */
export interface PingOptions {
  readonly from?: string
  readonly to?: string
  readonly hopLimit?: number
  readonly trafficClass?: number
  readonly doNotFragment?: boolean
}

/** Returns a memory stack with ICMP alone, and a link that carries the largest packets whole. */
export function icmpStack(options: MemoryStackOptions = {}, icmpOptions?: IcmpOptions): MemoryStack {
  return memoryStack([icmp(icmpOptions)], { link: { mtu: 65_535 }, ...options })
}

/** Returns the headers of an echo request from the guest. */
export function ping(family: Family, identifier: number, sequence: number, options: PingOptions = {}): Layer[] {
  const { from = family.guestAddress, to = family.server, hopLimit = 64 } = options
  return [build.ip(from, to, hopLimit, undefined, options), build.echoRequest(family.version, identifier, sequence)]
}
