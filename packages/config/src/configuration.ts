import type { Address, InterfaceAddress, MacAddress, Route } from "@demiflow/core"
import type { SplicingRules } from "@demiflow/flow"
import type { ConfiguredRule } from "./forwarding-plan.ts"
import type { Program, Verbosity } from "./options.ts"

/** The configuration of one IP version. Everything is decided: nothing has to be read from the system again. */
export interface FamilyConfiguration {
  /** Host interface from which addresses and routes were taken; undefined in local mode. */
  readonly template: string | undefined
  /** True if the user chose the guest's address: flows to the guest go there, whichever address the guest uses. */
  readonly isGuestAddressFixed: boolean
  /** The guest's gateway; undefined if the host's route names none. */
  readonly gateway: Address | undefined
  /** Source address of outgoing flows on the host; undefined: the host's routing decides. */
  readonly outboundAddress: Address | undefined
  /** Host interface that sockets are bound to; undefined: none. */
  readonly outboundInterface: string | undefined
  /** Name servers as the guest has to address them. */
  readonly nameServers: readonly Address[]
  /** Address by which the guest reaches the host's loopback. */
  readonly mapHostLoopback: Address | undefined
  /** Address by which the guest reaches the host at the address that both have. */
  readonly mapGuestAddress: Address | undefined
  /** Address by which the guest reaches the name server `dnsHost`; both are defined or neither is. */
  readonly dnsForward: Address | undefined
  /** The host's name server. */
  readonly dnsHost: Address | undefined
  /** Index of the name server's host interface, where its address is link-local with a zone. */
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
   * 0–128, of the address as `--config-net` sets it up: that of the host, else 64. Advertisements always announce 64,
   * as stateless address configuration requires.
   */
  readonly prefixLength: number
  /** The link-local address from which we speak as the guest's router. */
  readonly ourLinkLocal: Address
}

/** The user namespace of a network namespace that is created. */
export type UserNamespace =
  | { readonly kind: "new" }
  /** The caller's: none is created or joined. */
  | { readonly kind: "current" }
  | { readonly kind: "path"; readonly path: string }

/** The network namespace to connect. */
export type NamespaceTarget =
  /** A new one, for a command. */
  | {
      readonly kind: "new"
      readonly userNamespace: UserNamespace
      /** True if the command gets a PID namespace, with a `/proc` that shows it. */
      readonly hasPidNamespace: boolean
    }
  /** A process's. */
  | {
      readonly kind: "process"
      /** 1–2³¹−1, in the caller's PID namespace. */
      readonly processId: number
      /** Path of the user namespace to join, by default that of the process; undefined: none is joined. */
      readonly userNamespace: string | undefined
    }
  /** One that is bound to a path, which may also be a path in `/proc`. */
  | {
      readonly kind: "path"
      readonly path: string
      /** Path of the user namespace to join; undefined: none is joined. */
      readonly userNamespace: string | undefined
    }

/** The set-up of the namespace. */
export interface NamespaceConfiguration {
  readonly target: NamespaceTarget
  /**
   * True to end when a joined namespace is gone: its path removed, its process ended. Ignored for a
   * new one, which ends with its command.
   */
  readonly quitsWithNamespace: boolean
  /** Name of the tap interface. */
  readonly interfaceName: string
  /** Of the tap interface; undefined: the kernel chooses a random one. */
  readonly macAddress: MacAddress | undefined
  /**
   * Addresses and routes of the tap interface; undefined without `--config-net`, and where there is no tap interface.
   */
  readonly network: NamespaceNetwork | undefined
}

/**
 * Addresses and routes to set up, in this order. Interface indexes are {@link TAP_INTERFACE_INDEX}, to be replaced by
 * the index that the tap interface gets.
 */
export interface NamespaceNetwork {
  readonly addresses: readonly InterfaceAddress[]
  /** Routes that replace those that the kernel has added with the addresses. */
  readonly replacing: readonly Route[]
  readonly routes: readonly Route[]
}

/** Stands for the tap interface in a {@link NamespaceNetwork}: no interface has index 0. */
export const TAP_INTERFACE_INDEX = 0

/** How passt connects with its hypervisor. */
export interface HypervisorConfiguration {
  /** Where to listen; undefined: at the first free path of {@link defaultSocketPaths}. */
  readonly socketPath: string | undefined
  /** The inherited connection to the hypervisor; passt then doesn't listen. */
  readonly descriptor: number | undefined
  /** True for vhost-user, false for frames in a stream. */
  readonly isVhostUser: boolean
  /** True to end once the hypervisor has closed the connection; always with `descriptor`. */
  readonly oneOff: boolean
}

/** The log file, if the log doesn't go to the system's. */
export interface LogFileConfiguration {
  readonly path: string
  /** Maximum size, bytes: the oldest entries make room. */
  readonly maximumSize: number
}

/** A message for the user at start. */
export interface Notice {
  readonly level: "warning" | "info"
  readonly text: string
}

/** The whole configuration with which a program starts. */
export interface Configuration {
  readonly program: Program
  readonly verbosity: Verbosity
  readonly foreground: boolean
  readonly pcapPath: string | undefined
  readonly pidPath: string | undefined
  /** Undefined: the system's log. */
  readonly logFile: LogFileConfiguration | undefined
  /** Minimum seconds between two statistics; undefined: none. */
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
  /** True if the guest may reach nothing of the host's own, except by forwarded name service and ports. */
  readonly isHostClosed: boolean
  /** True if DHCP, DHCPv6 and NDP announce name servers to the guest. */
  readonly advertiseNameServers: boolean
  /** True if they announce search domains to the guest. */
  readonly advertiseSearchDomains: boolean
  readonly searchDomains: readonly string[]
  readonly hostname: string | undefined
  readonly fqdn: string | undefined
  /**
   * Ports of the host that lead to the guest, then those of the namespace that lead to the host, in the order in which
   * they were asked for. No two overlap.
   */
  readonly forwarding: readonly ConfiguredRule[]
  /** True if ports of the host may be at addresses that it doesn't have, or not yet. */
  readonly freebind: boolean
  /** Path of the socket at which pesto changes forwarded ports; undefined: there is none. */
  readonly confPath: string | undefined
  /** Only for pasta. There is no tap interface if `isOnly`. */
  readonly splicing: SplicingRules | undefined
  /** Only for pasta. */
  readonly namespace: NamespaceConfiguration | undefined
  /** Only for passt. */
  readonly hypervisor: HypervisorConfiguration | undefined
  /** In the order in which they were found. */
  readonly notices: readonly Notice[]
}

/** The enabled protocols. */
export interface ProtocolSwitches {
  readonly tcp: boolean
  readonly udp: boolean
  readonly icmp: boolean
  readonly dhcp: boolean
  readonly dhcpv6: boolean
  readonly ndp: boolean
  readonly routerAdvertisements: boolean
}

/** The protocols that configure the guest's IPv6: `NDP/DHCPv6`, one of both, or none. */
export function v6Advertisers({ protocols }: Configuration): string {
  return [protocols.ndp && "NDP", protocols.dhcpv6 && "DHCPv6"].filter((name) => name !== false).join("/")
}
