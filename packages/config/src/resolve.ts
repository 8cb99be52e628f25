/**
 * Resolves the user's options and the facts about the host to the guest's configuration. Pure: all facts about the host
 * are in {@link HostFacts}.
 */
import { Address, type HostNetwork, MacAddress, type NetworkInterface } from "@demiflow/core"
import type { SplicingRules } from "@demiflow/flow"
import {
  type Configuration,
  type FamilyConfiguration,
  type HypervisorConfiguration,
  type Ipv4Configuration,
  type Ipv6Configuration,
  type LogFileConfiguration,
  type NamespaceConfiguration,
  type NamespaceNetwork,
  type Notice,
  v6Advertisers,
} from "./configuration.ts"
import { decideNameServers } from "./name-servers.ts"
import { type NamespacePlan, planNetwork } from "./namespace-network.ts"
import { resolveNamespaceTarget } from "./namespace-target.ts"
import { DEFAULT_MTU } from "./option-values.ts"
import type { Options, Program } from "./options.ts"
import { type NameServer, parseResolvConf, type ResolverFile } from "./resolv-conf.ts"
import { findIdlePorts, resolveForwarding } from "./resolve-forwarding.ts"
import { findInterface, findTemplate, type Template } from "./template.ts"

/** Facts about the host. */
export interface HostFacts {
  readonly network: HostNetwork
  /** Text of `/etc/resolv.conf`; empty if there is none. */
  readonly resolvConf: string
  /** Text of `/proc/sys/net/ipv4/ip_local_port_range`. Absent or empty: the default of Linux. */
  readonly localPortRange?: string
  /** Why sockets of a version of IP can't be opened here: the system's error. Absent: they can. */
  readonly refusals?: { readonly v4?: string | undefined; readonly v6?: string | undefined }
}

/** A configuration, or one sentence on why it is refused. */
export type Resolution =
  | { readonly kind: "configuration"; readonly configuration: Configuration }
  | { readonly kind: "error"; readonly message: string }

const OUR_MAC = MacAddress.parse("9a:55:9a:55:9a:55")
const LOCAL_V4_GUEST = Address.parse("169.254.2.1")
const LOCAL_V4_GATEWAY = Address.parse("169.254.2.2")
const LOCAL_V4_PREFIX_LENGTH = 16
const LOCAL_V6_GATEWAY = Address.parse("fe80::1")
const V6_PREFIX_LENGTH = 64
/** RFC 8200, section 5, bytes. */
const V6_MINIMUM_MTU = 1280
const DEFAULT_TAP_NAME = "tap0"
const DEFAULT_LOG_SIZE = 1_048_576

/** State that the functions below share. */
interface Context {
  readonly options: Options
  readonly host: HostNetwork
  readonly resolver: ResolverFile
  readonly templateV4: Template | undefined
  readonly templateV6: Template | undefined
  readonly notices: Notice[]
}

/** Decides everything. */
export function resolveConfiguration(options: Options, facts: HostFacts, program: Program): Resolution {
  const host = facts.network
  const problem = findInterfaceProblem(options, host)
  if (problem !== undefined) return { kind: "error", message: problem }
  const context: Context = {
    options,
    host,
    resolver: parseResolvConf(facts.resolvConf),
    templateV4: findTemplate(host, true, options.interface ?? options.outboundInterface.v4),
    templateV6: findTemplate(host, false, options.interface ?? options.outboundInterface.v6),
    notices: [],
  }
  const mtu = options.mtu === 0 ? undefined : (options.mtu ?? DEFAULT_MTU)
  const v4 = options.ipv6Only || isRefused(context, "v4", facts) ? undefined : resolveV4(context)
  const hasV6 = !options.ipv4Only && !isRefused(context, "v6", facts)
  const v6 = hasV6 && !tooSmallForV6(mtu, context) ? resolveV6(context) : undefined
  if (v4 === undefined && v6 === undefined) {
    const message = hasV6
      ? `Invalid MTU: ${mtu} (IPv6 needs ${V6_MINIMUM_MTU} at least)`
      : "This system has no sockets for the versions of IP that could be used"
    return { kind: "error", message }
  }
  const versions = { hasV4: v4 !== undefined, hasV6: v6 !== undefined, localPortRange: facts.localPortRange ?? "" }
  const forwarding = resolveForwarding(options, versions, program)
  if (forwarding.kind === "error") return forwarding
  for (const sentence of findIdlePorts(options)) warn(context, sentence)
  if (options.spliceOnly && options.configureNamespace) {
    warn(context, "There is no tap interface: --config-net has no effect")
  }
  const hasTap = !options.spliceOnly
  const dhcp = hasTap && !options.noDhcp && v4?.gateway !== undefined
  const isConfigured = program === "pasta" && options.configureNamespace
  const ndp = hasTap && !options.noNdp && !options.noIcmp && v6 !== undefined
  const configuration: Configuration = {
    program,
    verbosity: options.verbosity,
    foreground: options.foreground,
    pcapPath: options.pcapPath,
    confPath: options.confPath,
    freebind: options.freebind,
    pidPath: options.pidPath,
    logFile: resolveLogFile(options),
    statisticsInterval: options.statisticsInterval,
    v4,
    v6,
    mtu,
    macAddress: options.macAddress ?? OUR_MAC,
    protocols: {
      tcp: !options.noTcp,
      udp: !options.noUdp,
      icmp: hasTap && !options.noIcmp,
      dhcp,
      dhcpv6: hasTap && !options.noDhcpv6 && v6 !== undefined,
      ndp,
      // With --config-net the namespace already has its addresses and routes: advertisements would only add more.
      routerAdvertisements: ndp && !options.noRouterAdvertisements && !isConfigured,
    },
    isHostClosed: options.noHost,
    advertiseNameServers: options.advertiseNameServers ?? program === "passt",
    advertiseSearchDomains: options.advertiseSearchDomains ?? program === "passt",
    searchDomains: options.searchDomains ?? context.resolver.searchDomains,
    hostname: options.hostname,
    fqdn: options.fqdn,
    forwarding: forwarding.rules,
    splicing: program === "pasta" ? resolveSplicing(options) : undefined,
    namespace: program === "pasta" ? resolveNamespace(context, v4, v6) : undefined,
    hypervisor: program === "passt" ? resolveHypervisor(options) : undefined,
    notices: context.notices,
  }
  warnOfMissingNameServers(context, configuration)
  return { kind: "configuration", configuration }
}

/** Interfaces that the user names must exist, and those to bind to must be usable. */
function findInterfaceProblem(options: Options, host: HostNetwork): string | undefined {
  const { v4, v6 } = options.outboundInterface
  for (const name of [options.interface, v4, v6]) {
    if (name !== undefined && findInterface(host, name) === undefined) {
      return `Invalid interface name ${name}: there is no such interface on the host`
    }
  }
  const zone = options.dnsHost.v6?.zone
  if (zone !== undefined && findZone(host, zone) === undefined) {
    return `Invalid DNS host address: there is no interface ${zone} on the host`
  }
  if (v4 !== undefined && !options.ipv6Only && findTemplate(host, true, v4) === undefined) {
    return `Outbound interface ${v4} has no IPv4 address`
  }
  if (v6 !== undefined && !options.ipv4Only && findTemplate(host, false, v6) === undefined) {
    return `Outbound interface ${v6} has no IPv6 address`
  }
  return undefined
}

/** True if the system refuses sockets of a version. Warns if the host has such addresses. */
function isRefused(context: Context, family: "v4" | "v6", { refusals }: HostFacts): boolean {
  const reason = refusals?.[family]
  if (reason === undefined) return false
  const isV4 = family === "v4"
  const isExpected = isV4 ? context.templateV4 !== undefined : context.templateV6 !== undefined
  const say = isExpected ? warn : inform
  say(context, `IPv${isV4 ? 4 : 6} is off, as there are no sockets for it here: ${reason}`)
  return true
}

function tooSmallForV6(mtu: number | undefined, context: Context): boolean {
  if (mtu === undefined || mtu >= V6_MINIMUM_MTU) return false
  warn(context, `MTU ${mtu} is too small for IPv6, which needs ${V6_MINIMUM_MTU}: IPv6 is off`)
  return true
}

function resolveV4(context: Context): Ipv4Configuration {
  const { options, templateV4: template } = context
  if (template === undefined) inform(context, "IPv4: no host interface to take as template, using local mode")
  const guestAddress = options.address.v4?.address ?? template?.address.address ?? LOCAL_V4_GUEST
  const gateway = options.gateway.v4 ?? (template === undefined ? LOCAL_V4_GATEWAY : template.gateway)
  return {
    ...resolveFamily(context, true, guestAddress, gateway),
    guestAddress,
    prefixLength: options.netmask ?? options.address.v4?.prefixLength ?? defaultPrefixLength(context),
  }
}

function defaultPrefixLength({ options, templateV4 }: Context): number {
  if (options.address.v4 !== undefined) return classPrefixLength(options.address.v4.address)
  return templateV4?.address.prefixLength ?? LOCAL_V4_PREFIX_LENGTH
}

/** The prefix length that an address had in the times of network classes (RFC 791, section 3.2). */
function classPrefixLength(address: Address): number {
  const first = address.word3 >>> 24
  return first < 128 ? 8 : first < 192 ? 16 : first < 224 ? 24 : 32
}

function resolveV6(context: Context): Ipv6Configuration {
  const { options, templateV6: template } = context
  if (template === undefined) inform(context, "IPv6: no host interface to take as template, using local mode")
  const guestAddress = options.address.v6?.address ?? template?.address.address
  const gateway = options.gateway.v6 ?? (template === undefined ? LOCAL_V6_GATEWAY : template.gateway)
  // Router advertisements must come from a link-local address (RFC 4861, section 6.1.2), so a global gateway can't be
  // the one that sends them.
  const ourLinkLocal = gateway?.isLinkLocal ? gateway : (template?.linkLocal ?? LOCAL_V6_GATEWAY)
  return {
    ...resolveFamily(context, false, guestAddress, gateway),
    guestAddress,
    prefixLength: options.address.v6 === undefined && template ? template.address.prefixLength : V6_PREFIX_LENGTH,
    ourLinkLocal,
  }
}

function resolveFamily(
  context: Context,
  isV4: boolean,
  guestAddress: Address | undefined,
  gateway: Address | undefined,
): FamilyConfiguration {
  const { options } = context
  const family = isV4 ? "v4" : "v6"
  const template = isV4 ? context.templateV4 : context.templateV6
  const mapHostLoopback = options.mapHostLoopback[family] ?? (options.noMapGateway ? undefined : gateway)
  const mapGuestAddress = options.mapGuestAddress[family]
  const { nameServers, dnsForward, dnsHost, unreachable } = decideNameServers({
    isV4,
    chosen: options.nameServers?.filter((server) => server.isV4 === isV4),
    ofHost: context.resolver.nameServers,
    dnsForward: options.dnsForward[family],
    dnsHost: options.dnsHost[family],
    // On a closed host, these are only names that the guest sees, and don't lead to the host.
    mapHostLoopback: options.noHost ? undefined : mapHostLoopback,
    mapGuestAddress: options.noHost ? undefined : mapGuestAddress,
    guestAddress,
    isClosed: (address) => options.noHost && isClosed(context.host, address, gateway),
  })
  for (const server of unreachable) {
    inform(context, `The guest can't reach the host's name server ${server}: see --dns-forward`)
  }
  const outbound = options.outboundAddress[family]
  if (outbound !== undefined && !context.host.addresses.some((entry) => entry.address.equals(outbound))) {
    const consequence = "until it can be bound, new flows of the guest are refused"
    warn(context, `Outbound address ${outbound} is on none of the host's interfaces: ${consequence}`)
  }
  const asked = options.dnsForward[family]
  if (asked !== undefined && dnsForward === undefined) {
    warn(context, `No name server to forward queries for ${asked} to: see --dns-host`)
  }
  return {
    template: template?.interface.name,
    isGuestAddressFixed: options.address[family] !== undefined,
    gateway,
    outboundAddress: options.outboundAddress[family],
    outboundInterface: options.outboundInterface[family],
    nameServers,
    mapHostLoopback,
    mapGuestAddress,
    dnsForward,
    dnsHost: dnsHost?.address,
    dnsHostScope: findScope(context, dnsHost),
  }
}

/** Predicts the forwarding policy's decision, up to what is known beforehand. */
function isClosed(host: HostNetwork, address: Address, gateway: Address | undefined): boolean {
  if (host.addresses.some((entry) => entry.address.equals(address))) return true
  return address.isLinkLocal && gateway?.equals(address) !== true
}

/** Index of the interface that a name server's zone names; undefined: it names none, or one that doesn't exist. */
function findScope({ host }: Context, server: NameServer | undefined): number | undefined {
  return server?.zone === undefined ? undefined : findZone(host, server.zone)?.index
}

/** The interface that a zone names, by name or index. */
function findZone(host: HostNetwork, zone: string): NetworkInterface | undefined {
  return findInterface(host, zone) ?? host.interfaces.find(({ index }) => String(index) === zone)
}

function resolveLogFile({ logPath, logSize }: Options): LogFileConfiguration | undefined {
  return logPath === undefined ? undefined : { path: logPath, maximumSize: logSize ?? DEFAULT_LOG_SIZE }
}

function resolveHypervisor({ socketPath, descriptor, vhostUser, oneOff }: Options): HypervisorConfiguration {
  return { socketPath, descriptor, isVhostUser: vhostUser, oneOff }
}

/** Informs the user if a guest that would be given name servers gets none. */
function warnOfMissingNameServers(context: Context, configuration: Configuration): void {
  if (!configuration.advertiseNameServers || context.options.nameServers?.length === 0) return
  const { v4, v6, protocols } = configuration
  if (protocols.dhcp && v4?.nameServers.length === 0) inform(context, "No IPv4 nameserver available for DHCP")
  const advertisers = v6Advertisers(configuration)
  if (advertisers !== "" && v6?.nameServers.length === 0) {
    inform(context, `No IPv6 nameserver available for ${advertisers}`)
  }
}

/** Without a tap interface the namespace has only its loopback address: everything goes there. */
function resolveSplicing({ noSplice, spliceOnly, keepLoopback }: Options): SplicingRules {
  return { takesFromHost: !noSplice, keepsLoopback: keepLoopback || spliceOnly, isOnly: spliceOnly }
}

function resolveNamespace(
  context: Context,
  v4: Ipv4Configuration | undefined,
  v6: Ipv6Configuration | undefined,
): NamespaceConfiguration {
  const { options } = context
  return {
    target: resolveNamespaceTarget(options),
    quitsWithNamespace: !options.noNamespaceQuit,
    interfaceName: options.namespaceInterface ?? v4?.template ?? v6?.template ?? DEFAULT_TAP_NAME,
    macAddress: options.namespaceMacAddress,
    network: options.configureNamespace && !options.spliceOnly ? resolveNetwork(context, v4, v6) : undefined,
  }
}

function resolveNetwork(
  { options, host, templateV4, templateV6 }: Context,
  v4: Ipv4Configuration | undefined,
  v6: Ipv6Configuration | undefined,
): NamespaceNetwork {
  const plans: NamespacePlan[] = []
  for (const [family, configured] of Object.entries({ v4, v6 })) {
    if (configured === undefined) continue
    const isV4 = family === "v4"
    plans.push({
      isV4,
      template: isV4 ? templateV4 : templateV6,
      guestAddress: configured.guestAddress,
      prefixLength: configured.prefixLength,
      gateway: configured.gateway,
      copyAddresses: options.copyAddresses && options.address[isV4 ? "v4" : "v6"] === undefined,
      copyRoutes: options.copyRoutes && options.gateway[isV4 ? "v4" : "v6"] === undefined,
    })
  }
  const networks = plans.map((plan) => planNetwork(plan, host))
  return {
    addresses: networks.flatMap(({ addresses }) => addresses),
    replacing: networks.flatMap(({ replacing }) => replacing),
    routes: networks.flatMap(({ routes }) => routes),
  }
}

function inform(context: Context, text: string): void {
  context.notices.push({ level: "info", text })
}

function warn(context: Context, text: string): void {
  context.notices.push({ level: "warning", text })
}
