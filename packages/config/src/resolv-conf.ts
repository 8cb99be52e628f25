import { Address } from "@demiflow/core"

/** What a `resolv.conf(5)` says, as far as a guest can use it. */
export interface ResolverFile {
  /** In the order of the file. Addresses with a zone mean something on this host only and are left out. */
  readonly nameServers: readonly Address[]
  readonly searchDomains: readonly string[]
}

/** Reads the text of a `resolv.conf(5)`. Lines that make no sense are skipped, as the C library does. */
export function parseResolvConf(text: string): ResolverFile {
  const nameServers: Address[] = []
  let searchDomains: readonly string[] = []
  for (const line of text.split("\n")) {
    // The keyword has to start in the first column; so do the comment signs, "#" and ";".
    const [keyword, ...values] = line.trimEnd().split(/[ \t]+/)
    if (keyword === "nameserver") {
      const address = Address.tryParse(values[0] ?? "")
      if (address?.isUnicast) nameServers.push(address)
    } else if (keyword === "search" || (keyword === "domain" && values.length > 0)) {
      // "search" and "domain" exclude each other: the last one of both counts. "." alone means the root: no domain.
      searchDomains = (keyword === "domain" ? values.slice(0, 1) : values).filter((domain) => domain !== ".")
    }
  }
  return { nameServers, searchDomains }
}
