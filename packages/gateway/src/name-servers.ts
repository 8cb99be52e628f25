/** The name servers that answer the guest: those that the options name, or the host's own. */

import { type NameServer, parseResolvConf } from "@demiflow/config"
import { type Address, LOOPBACK_V4, LOOPBACK_V6 } from "@demiflow/core"
import { optionError } from "./gateway-error.ts"
import { type AddressLike, toAddress } from "./networks.ts"
import { findZone, type Zone } from "./zones.ts"

/**
 * A name server of the host's network: its address, or with a port other than 53. The text of a link-local address
 * needs the name of an interface: `fe80::53%eth0`. But sockets that are passed must know that interface by themselves.
 */
export type NameServerOption = AddressLike | { readonly address: AddressLike; readonly port?: number }

/** Where questions of one version of IP go. */
export interface Resolver {
  readonly address: Address
  /** Absent: the port that the guest asks, which is 53 or, for DNS over TLS, 853. */
  readonly port: number | undefined
  /** The interface of a link-local address. */
  readonly zone?: Zone
}

/** Name servers and search domains. */
export interface NameService {
  /** Undefined: the guest has no name server of this version. */
  readonly v4: Resolver | undefined
  readonly v6: Resolver | undefined
  readonly searchDomains: readonly string[]
}

const RESOLV_CONF = "/etc/resolv.conf"
const HIGHEST_PORT = 65_535

/**
 * The name service that options name; the first server of each version counts.
 *
 * @param reachesZones false if sockets can't be handed the interface of a link-local server: a zone is refused
 */
export function chosenNameService(reachesZones: boolean, servers: readonly NameServerOption[]): NameService {
  if (!Array.isArray(servers)) throw optionError("nameServers must be a list")
  const resolvers = servers.map((server, index) => toResolver(reachesZones, server, index))
  return { ...firstOfEach(resolvers), searchDomains: [] }
}

/**
 * The host's name service, as it is now. A system without a `resolv.conf` asks itself (resolv.conf(5)).
 *
 * @param reachesZones false if sockets can't be handed the interface of a link-local server: such servers are skipped
 */
export function hostNameService(reachesZones: boolean, text: string = readResolvConf()): NameService {
  const { nameServers, searchDomains } = parseResolvConf(text)
  const resolvers = nameServers.flatMap(({ address, zone: name }: NameServer): Resolver[] => {
    if (name === undefined) return [{ address, port: undefined }]
    const zone = reachesZones ? findZone(name) : undefined
    return zone === undefined ? [] : [{ address, port: undefined, zone }]
  })
  const itself = [LOOPBACK_V4, LOOPBACK_V6].map((address) => ({ address: address.clone(), port: undefined }))
  return { ...firstOfEach(nameServers.length === 0 ? itself : resolvers), searchDomains }
}

function firstOfEach(resolvers: readonly Resolver[]): Pick<NameService, "v4" | "v6"> {
  return { v4: resolvers.find(({ address }) => address.isV4), v6: resolvers.find(({ address }) => !address.isV4) }
}

function toResolver(reachesZones: boolean, option: NameServerOption, index: number): Resolver {
  const name = `nameServers[${index}]`
  const isAlone = typeof option !== "object" || option === null || !("address" in option)
  const { address: text, port } = isAlone ? { address: option, port: undefined } : option
  const { address, zone } = toZoned(reachesZones, name, text)
  if (!address.isUnicast) throw optionError(`${name} is ${address}: it must be the address of one server`)
  if (port !== undefined && !(Number.isInteger(port) && port >= 1 && port <= HIGHEST_PORT)) {
    throw optionError(`${name}.port is ${port}: it must be from 1 to ${HIGHEST_PORT}`)
  }
  return { address, port, ...(zone && { zone }) }
}

interface ZonedAddress {
  readonly address: Address
  readonly zone: Zone | undefined
}

function toZoned(reachesZones: boolean, name: string, value: AddressLike): ZonedAddress {
  const end = typeof value === "string" ? value.indexOf("%") : -1
  if (typeof value !== "string" || end < 0) return { address: toAddress(name, value), zone: undefined }
  const address = toAddress(name, value.slice(0, end))
  const refused = (reason: string) => optionError(`${name} is ${value}: ${reason}`)
  if (address.isV4 || !address.isLinkLocal) throw refused("only link-local IPv6 addresses have a zone")
  if (!reachesZones) throw refused("sockets that are passed must know the interface, so pass the address without it")
  const zone = findZone(value.slice(end + 1))
  if (zone === undefined) throw refused("the host must have an interface of that name, with IPv6")
  return { address, zone }
}

/** Empty where there is none. */
function readResolvConf(): string {
  try {
    // Not an import, so that bundles for a page contain nothing of Node.js.
    return globalThis.process.getBuiltinModule("node:fs").readFileSync(RESOLV_CONF, "utf8")
  } catch {
    return ""
  }
}
