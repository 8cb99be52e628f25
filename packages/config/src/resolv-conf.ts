import { Address } from "@demiflow/core"

/** A name server of the host. */
export interface NameServer {
  readonly address: Address
  /** The host interface of a link-local address, by name or index; undefined: not given, or not needed. */
  readonly zone: string | undefined
}

/** The parts of a `resolv.conf(5)` that a guest can use. */
export interface ResolverFile {
  /** In the order of the file. */
  readonly nameServers: readonly NameServer[]
  readonly searchDomains: readonly string[]
}

/** Parses a `resolv.conf(5)`. Invalid lines are skipped, as the C library does. */
export function parseResolvConf(text: string): ResolverFile {
  const nameServers: NameServer[] = []
  let searchDomains: readonly string[] = []
  for (const line of text.split("\n")) {
    // The keyword has to start in the first column; so do the comment signs, "#" and ";".
    const [keyword, ...values] = line.trimEnd().split(/[ \t]+/)
    if (keyword === "nameserver") {
      const server = parseNameServer(values[0] ?? "")
      if (server !== undefined) nameServers.push(server)
    } else if (keyword === "search" || (keyword === "domain" && values.length > 0)) {
      // "search" and "domain" exclude each other: the last one of both counts. "." alone means the root: no domain.
      searchDomains = (keyword === "domain" ? values.slice(0, 1) : values).filter((domain) => domain !== ".")
    }
  }
  return { nameServers, searchDomains }
}

/**
 * A unicast address. An IPv6 one may have a zone, as in `fe80::1%eth0` (RFC 4007, section 11), which counts only for
 * link-local addresses.
 */
export function parseNameServer(text: string): NameServer | undefined {
  const percent = text.indexOf("%")
  const address = Address.tryParse(percent < 0 ? text : text.slice(0, percent))
  if (address?.isUnicast !== true) return undefined
  if (percent < 0) return { address, zone: undefined }
  const zone = text.slice(percent + 1)
  return address.isV4 || zone === "" ? undefined : { address, zone: address.isLinkLocal ? zone : undefined }
}
