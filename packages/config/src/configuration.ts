import type { Address, InterfaceAddress, MacAddress, Route } from "@demiflow/core"
import type { SplicingRules } from "@demiflow/flow"
import type { ConfiguredRule } from "./forwarding-plan.ts"
import type { Program, Verbosity } from "./options.ts"

/** What both IP versions have. Everything decided: nothing here has to be looked up again. */
export interface FamilyConfiguration {
  /** Host interface from which addresses and routes were taken; undefined in local mode. */
  readonly template: string | undefined
  /** True if the user chose the guest's address: what is forwarded to the guest goes there, whichever the guest uses. */
  readonly isGuestAddressFixed: boolean
  /** Where the guest sends what isn't on its link; undefined if the host's route names no gateway. */
  readonly gateway: Address | undefined
  /** Source of what leaves on the host; undefined: the host's routing decides. */
  readonly outboundAddress: Address | undefined
  /** Host interface that sockets are bound to; undefined: none. */
  readonly outboundInterface: string | undefined
  /** Name servers as the guest has to address them. */
  readonly nameServers: readonly Address[]
  /** Address by which the guest reaches the host's loopback. */
  readonly mapHostLoopback: Address | undefined
  /** Address by which the guest reaches what the host has on the guest's own address. */
  readonly mapGuestAddress: Address | undefined
  /** Address by which the guest reaches the name server `dnsHost`; both are defined or neither is. */
  readonly dnsForward: Address | undefined
  /** The host's name server. */
  readonly dnsHost: Address | undefined
  /** Index of the host interface on which it is, where its address is link-local with a zone. */
  readonly dnsHostScope: number | undefined
}

export interface Ipv4Configuration extends FamilyConfiguration {
  readonly guestAddress: Address
  /** 0–32. */
  readonly prefixLength: number
}

export interface Ipv6Configuration extends FamilyConfiguration {
  /** Undefined in local mode: the guest then has only the link-local address that it chooses. */
  readonly guestAddress: Address | undefined
  /**
   * 0–128, of the address as `--config-net` sets it up: that of the host, else 64. Advertisements always say 64, as
   * stateless address configuration wants it.
   */
  readonly prefixLength: number
  /** The link-local address from which we speak as the guest's router. */
  readonly ourLinkLocal: Address
}

/** The user namespace of a network namespace that is created. */
export type UserNamespace =
  | { readonly kind: "new" }
  /** That of the caller: none is created or joined. */
  | { readonly kind: "current" }
  | { readonly kind: "path"; readonly path: string }

/** Which network namespace is connected. */
export type NamespaceTarget =
  /** One of its own, for a command. */
  | {
      readonly kind: "new"
      readonly userNamespace: UserNamespace
      /** True if the command gets a PID namespace, with a `/proc` that shows it. */
      readonly hasPidNamespace: boolean
    }
  /** That of a process. */
  | {
      readonly kind: "process"
      /** 1–2³¹−1, as the caller sees it. */
      readonly processId: number
      /** Path of the user namespace to join, by default that of the process; undefined: none is joined. */
      readonly userNamespace: string | undefined
    }
  /** One that is bound to a path, which may be one of `/proc` as well. */
  | {
      readonly kind: "path"
      readonly path: string
      /** Path of the user namespace to join; undefined: none is joined. */
      readonly userNamespace: string | undefined
    }

/** What is done in the namespace. */
export interface NamespaceConfiguration {
  readonly target: NamespaceTarget
  /**
   * True to end when the namespace that was joined is gone: its path removed, its process ended. Without meaning for a
   * new one, which ends with its command.
   */
  readonly quitsWithNamespace: boolean
  /** Name of the tap interface. */
  readonly interfaceName: string
  /** Of the tap interface; undefined: the kernel makes one up. */
  readonly macAddress: MacAddress | undefined
  /** What to set up on it; undefined without `--config-net`, and where there is no tap interface. */
  readonly network: NamespaceNetwork | undefined
}

/**
 * Addresses and routes to set up, in this order. Interface indexes are {@link TAP_INTERFACE_INDEX}, to be replaced by the
 * index that the tap interface gets.
 */
export interface NamespaceNetwork {
  readonly addresses: readonly InterfaceAddress[]
  /** Routes that take the place of those that the kernel has added with the addresses. */
  readonly replacing: readonly Route[]
  readonly routes: readonly Route[]
}

/** Stands for the tap interface in a {@link NamespaceNetwork}: no interface has index 0. */
export const TAP_INTERFACE_INDEX = 0

/** How passt meets its hypervisor. */
export interface HypervisorConfiguration {
  /** Where to listen; undefined: at the first free path of {@link defaultSocketPaths}. */
  readonly socketPath: string | undefined
  /** The connection to the hypervisor, inherited; there is nothing to listen at then. */
  readonly descriptor: number | undefined
  /** True to end once the hypervisor has closed the connection; always with `descriptor`. */
  readonly oneOff: boolean
}

/** Where the log is written, if not to the system's. */
export interface LogFileConfiguration {
  readonly path: string
  /** Bytes: what is oldest makes room. */
  readonly maximumSize: number
}

/** Something to tell the user at start. */
export interface Notice {
  readonly level: "warning" | "info"
  readonly text: string
}

/** Everything that a program needs to know to start. */
export interface Configuration {
  readonly program: Program
  readonly verbosity: Verbosity
  readonly foreground: boolean
  readonly pcapPath: string | undefined
  readonly pidPath: string | undefined
  /** Undefined: the system's log. */
  readonly logFile: LogFileConfiguration | undefined
  /** Seconds between two statistics at least; undefined: none. */
  readonly statisticsInterval: number | undefined
  /** Undefined: IPv4 is ignored. */
  readonly v4: Ipv4Configuration | undefined
  /** Undefined: IPv6 is ignored. */
  readonly v6: Ipv6Configuration | undefined
  /** MTU to assign to the guest, bytes; undefined: none is assigned. */
  readonly mtu: number | undefined
  /** Our Ethernet address. */
  readonly macAddress: MacAddress
  readonly protocols: ProtocolSwitches
  /** True if the guest is to reach nothing of the host's own, but for what it is forwarded to by name service and ports. */
  readonly isHostClosed: boolean
  /** True if DHCP, DHCPv6 and NDP tell the guest its name servers. */
  readonly advertiseNameServers: boolean
  /** True if they tell the guest its search domains. */
  readonly advertiseSearchDomains: boolean
  readonly searchDomains: readonly string[]
  readonly hostname: string | undefined
  readonly fqdn: string | undefined
  /**
   * Ports of the host that lead to the guest, then those of the namespace that lead to the host, in the order in which
   * they were asked for. No two overlap.
   */
  readonly forwarding: readonly ConfiguredRule[]
  /** Only for pasta. There is no tap interface if `isOnly`. */
  readonly splicing: SplicingRules | undefined
  /** Only for pasta. */
  readonly namespace: NamespaceConfiguration | undefined
  /** Only for passt. */
  readonly hypervisor: HypervisorConfiguration | undefined
  /** In the order in which they were found. */
  readonly notices: readonly Notice[]
}

/** Which protocols are on. */
export interface ProtocolSwitches {
  readonly tcp: boolean
  readonly udp: boolean
  readonly icmp: boolean
  readonly dhcp: boolean
  readonly dhcpv6: boolean
  readonly ndp: boolean
  readonly routerAdvertisements: boolean
}

/** What configures the guest's IPv6: `NDP/DHCPv6`, one of both, or nothing. */
export function v6Advertisers({ protocols }: Configuration): string {
  return [protocols.ndp && "NDP", protocols.dhcpv6 && "DHCPv6"].filter((name) => name !== false).join("/")
}
