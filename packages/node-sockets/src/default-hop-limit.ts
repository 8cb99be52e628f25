import { readFileSync } from "node:fs"

/** The usual one, where Linux doesn't say. */
const USUAL = 64
const FILES = { v4: "/proc/sys/net/ipv4/ip_default_ttl", v6: "/proc/sys/net/ipv6/conf/default/hop_limit" }

const known: { v4?: number; v6?: number } = {}

/** The hop limit of sockets for which none was set. */
export function defaultHopLimit(isV4: boolean): number {
  const version = isV4 ? "v4" : "v6"
  known[version] ??= read(FILES[version])
  return known[version]
}

function read(file: string): number {
  try {
    return Number(readFileSync(file, "utf8")) || USUAL
  } catch {
    return USUAL
  }
}
