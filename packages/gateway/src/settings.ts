/** The options of a gateway, checked and complete. */
import type { Link } from "@demiflow/core"
import { optionError } from "./gateway-error.ts"
import { chosenNameService, hostNameService, type NameService } from "./name-servers.ts"
import { type Network, resolveV4, resolveV6 } from "./networks.ts"
import type { GatewayOptions, GatewaySizes } from "./options.ts"

const DEFAULT_SIZES: Required<GatewaySizes> = {
  mostFlows: 1_024,
  holdBytes: 1 << 20,
  transmitBytes: 512 << 10,
  reassemblySlots: 4,
  linkBytes: 3 << 20,
}

/** Bounds of the sizes. */
const SIZES: Readonly<Record<keyof GatewaySizes, readonly [least: number, most: number]>> = {
  mostFlows: [1, 1 << 22],
  holdBytes: [1 << 16, 1 << 30],
  transmitBytes: [1 << 17, 1 << 30],
  reassemblySlots: [1, 1_024],
  linkBytes: [0, 1 << 30],
}

/** RFC 791, section 3.2: what every host takes. */
const SMALLEST_MTU = 576
/** RFC 8200, section 5. */
const SMALLEST_MTU_V6 = 1_280
const LARGEST_MTU = 65_535

/** What a gateway is assembled from. */
export interface Settings extends Required<GatewaySizes> {
  readonly v4: Network | undefined
  readonly v6: Network | undefined
  /** Undefined: the link's. */
  readonly mtu: number | undefined
  readonly nameService: NameService
}

/** The sizes of options, complete. Throws a `GatewayError`. */
export function resolveSizes(options: GatewaySizes): Required<GatewaySizes> {
  const sizes = { ...DEFAULT_SIZES }
  for (const [name, [least, most]] of Object.entries(SIZES) as [keyof GatewaySizes, [number, number]][]) {
    const size = options[name] ?? DEFAULT_SIZES[name]
    if (!(Number.isInteger(size) && size >= least && size <= most)) {
      throw optionError(`${name} is ${size}: it must be from ${least} to ${most}`)
    }
    sizes[name] = size
  }
  return sizes
}

/** Checks options and completes them. Throws a `GatewayError`. */
export function resolveSettings(options: GatewayOptions): Settings {
  const { mtu, nameServers, searchDomains } = options
  if (typeof options.link !== "function" && typeof options.link?.receive !== "function") {
    throw optionError("link is missing: it must be a link, or a function that makes one")
  }
  if ((options.sockets === undefined) !== (options.loop === undefined)) {
    throw optionError("sockets and loop belong together: pass both or none")
  }
  const v4 = options.v4 === false ? undefined : resolveV4(options.v4 ?? {})
  const v6 = options.v6 === false ? undefined : resolveV6(options.v6 ?? {})
  if (v4 === undefined && v6 === undefined) throw optionError("v4 and v6 are false: the guest needs one of them")
  const smallest = v6 === undefined ? SMALLEST_MTU : SMALLEST_MTU_V6
  if (mtu !== undefined && !(Number.isInteger(mtu) && mtu >= smallest && mtu <= LARGEST_MTU)) {
    throw optionError(`mtu is ${mtu}: it must be from ${smallest} to ${LARGEST_MTU}`)
  }
  checkClosedHost(options.closedHost)
  const reachesZones = options.sockets === undefined
  const names = nameServers === undefined ? hostNameService(reachesZones) : chosenNameService(reachesZones, nameServers)
  checkDomains(searchDomains ?? [])
  return {
    ...resolveSizes(options),
    v4,
    v6,
    mtu,
    nameService: { ...names, searchDomains: searchDomains ?? names.searchDomains },
  }
}

/** A wrong value must not leave the host open, nor fail later, with the first flow. */
function checkClosedHost(value: GatewayOptions["closedHost"]): void {
  if (value === undefined || typeof value === "boolean") return
  if (typeof value === "object" && typeof value?.isOwn === "function") return
  throw optionError("closedHost must be true, false, or an object with the function isOwn")
}

/** RFC 1035, section 2.3.4: 1 to 63 bytes a label, 255 in all, with the length of each and of the root. */
const DOMAIN = /^(?=.{1,253}\.?$)([\x21-\x2d\x2f-\x7e]{1,63}\.)*[\x21-\x2d\x2f-\x7e]{1,63}\.?$/

function checkDomains(domains: readonly string[]): void {
  if (!Array.isArray(domains)) throw optionError("searchDomains must be a list")
  for (const [index, domain] of domains.entries()) {
    if (typeof domain === "string" && DOMAIN.test(domain)) continue
    throw optionError(`searchDomains[${index}] is ${JSON.stringify(domain)}: it must be a domain such as example.org`)
  }
}

/** The MTU that the guest gets. Throws a `GatewayError` if the link's is too small. */
export function mtuOn(link: Link, { mtu = LARGEST_MTU, v6 }: Settings): number {
  const smaller = Math.min(mtu, link.capabilities.mtu)
  if (v6 === undefined || smaller >= SMALLEST_MTU_V6) return smaller
  throw optionError(`The link's MTU is ${smaller}: IPv6 needs ${SMALLEST_MTU_V6}, so pass v6: false`)
}
