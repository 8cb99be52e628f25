import type { Address, MacAddress } from "@demiflow/core"
import type { AssignedAddress } from "./option-values.ts"
import type { PortSpecification } from "./port-specification.ts"
import type { NameServer } from "./resolv-conf.ts"
import type { RunAs } from "./run-as.ts"

/** The program whose command line is parsed. They share most options. */
export type Program = "pasta" | "passt"

/** The verbosity: `quiet` leaves out informational messages, `trace` shows single packets. */
export type Verbosity = "quiet" | "normal" | "debug" | "trace"

/** One value for IPv4 and one for IPv6, each undefined where the option wasn't given for that version. */
export interface PerFamily<Value> {
  v4: Value | undefined
  v6: Value | undefined
}

/**
 * The user's options, one field for each. Nothing is decided here: undefined means that the option wasn't
 * given, and `resolveConfiguration` chooses.
 */
export interface Options {
  verbosity: Verbosity
  /** `-f`: stay in the foreground. */
  foreground: boolean
  /** `-p`: where to write a capture. */
  pcapPath: string | undefined
  /** `-c`: path of the socket for pesto. */
  confPath: string | undefined
  /** `-P`: where to write the process number. */
  pidPath: string | undefined
  /** `-l`: where to write the log. */
  logPath: string | undefined
  /** `--log-size`, bytes. */
  logSize: number | undefined
  /** `--runas` */
  runAs: RunAs | undefined
  /** `--print-sandbox`: print which parts of the sandbox hold here, and end. */
  printsSandbox: boolean
  /** `--stats`, seconds. */
  statisticsInterval: number | undefined
  /** `-4` */
  ipv4Only: boolean
  /** `-6` */
  ipv6Only: boolean
  /** `-m`, bytes; 0 disables the assignment. */
  mtu: number | undefined
  /** `-a` */
  address: PerFamily<AssignedAddress>
  /** `-n`, as a prefix length: 0–32. */
  netmask: number | undefined
  /** `-M` */
  macAddress: MacAddress | undefined
  /** `-g` */
  gateway: PerFamily<Address>
  /** `-i` */
  interface: string | undefined
  /** `-o` */
  outboundAddress: PerFamily<Address>
  /** `--outbound-if4`, `--outbound-if6` */
  outboundInterface: PerFamily<string>
  /** `-D`: empty after `-D none`. */
  nameServers: readonly Address[] | undefined
  /** `-S`: empty after `-S none`. */
  searchDomains: readonly string[] | undefined
  dnsForward: PerFamily<Address>
  dnsHost: PerFamily<NameServer>
  /** `--map-host-loopback` with an address. */
  mapHostLoopback: PerFamily<Address>
  /** `--no-map-gw` and `--map-host-loopback none`: the mapping doesn't default to the gateway. */
  noMapGateway: boolean
  /** `--no-host` */
  noHost: boolean
  mapGuestAddress: PerFamily<Address>
  noTcp: boolean
  noUdp: boolean
  noIcmp: boolean
  noDhcp: boolean
  noNdp: boolean
  noDhcpv6: boolean
  noRouterAdvertisements: boolean
  /** `--dhcp-dns`, `--no-dhcp-dns` */
  advertiseNameServers: boolean | undefined
  /** `--dhcp-search`, `--no-dhcp-search` */
  advertiseSearchDomains: boolean | undefined
  /** `-H` */
  hostname: string | undefined
  fqdn: string | undefined
  /** `-t`, each in turn; empty if the option wasn't given. */
  tcpPorts: readonly PortSpecification[]
  /** `-u` */
  udpPorts: readonly PortSpecification[]
  /** `-T` */
  tcpNamespacePorts: readonly PortSpecification[]
  /** `-U` */
  udpNamespacePorts: readonly PortSpecification[]
  freebind: boolean
  noSplice: boolean
  spliceOnly: boolean
  /** `--host-lo-to-ns-lo` */
  keepLoopback: boolean
  /** `-s`: where the hypervisor connects. */
  socketPath: string | undefined
  /** `--vhost-user`: how the hypervisor connects, instead of frames in a stream. */
  vhostUser: boolean
  /** `--print-capabilities`: print the capabilities of the back end for vhost-user, and end. */
  printsCapabilities: boolean
  /** `-F`: the connection to the hypervisor, inherited. */
  descriptor: number | undefined
  /** `-1`, and implied by `-F`. */
  oneOff: boolean
  /** The operand PID, whose namespaces to join. */
  processId: number | undefined
  /** `--netns`, as a path. */
  networkNamespace: string | undefined
  /** `--userns`, a path. */
  userNamespace: string | undefined
  /** `--netns-only` */
  networkNamespaceOnly: boolean
  /** `--no-netns-quit` */
  noNamespaceQuit: boolean
  /** `--no-pidns` */
  noPidNamespace: boolean
  /** `-I` */
  namespaceInterface: string | undefined
  namespaceMacAddress: MacAddress | undefined
  /** `--config-net` */
  configureNamespace: boolean
  copyRoutes: boolean
  copyAddresses: boolean
}

/** The options before the first argument. */
export function defaultOptions(): Options {
  const nothing = () => ({ v4: undefined, v6: undefined })
  return {
    verbosity: "normal",
    foreground: false,
    pcapPath: undefined,
    confPath: undefined,
    pidPath: undefined,
    logPath: undefined,
    logSize: undefined,
    runAs: undefined,
    printsSandbox: false,
    vhostUser: false,
    printsCapabilities: false,
    statisticsInterval: undefined,
    ipv4Only: false,
    ipv6Only: false,
    mtu: undefined,
    address: nothing(),
    netmask: undefined,
    macAddress: undefined,
    gateway: nothing(),
    interface: undefined,
    outboundAddress: nothing(),
    outboundInterface: nothing(),
    nameServers: undefined,
    searchDomains: undefined,
    dnsForward: nothing(),
    dnsHost: nothing(),
    mapHostLoopback: nothing(),
    noMapGateway: false,
    noHost: false,
    mapGuestAddress: nothing(),
    noTcp: false,
    noUdp: false,
    noIcmp: false,
    noDhcp: false,
    noNdp: false,
    noDhcpv6: false,
    noRouterAdvertisements: false,
    advertiseNameServers: undefined,
    advertiseSearchDomains: undefined,
    hostname: undefined,
    fqdn: undefined,
    tcpPorts: [],
    udpPorts: [],
    tcpNamespacePorts: [],
    udpNamespacePorts: [],
    freebind: false,
    noSplice: false,
    spliceOnly: false,
    keepLoopback: false,
    socketPath: undefined,
    descriptor: undefined,
    oneOff: false,
    processId: undefined,
    networkNamespace: undefined,
    userNamespace: undefined,
    networkNamespaceOnly: false,
    noNamespaceQuit: false,
    noPidNamespace: false,
    namespaceInterface: undefined,
    namespaceMacAddress: undefined,
    configureNamespace: false,
    copyRoutes: true,
    copyAddresses: true,
  }
}
