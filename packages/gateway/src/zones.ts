/** Interfaces of link-local name servers, such as `fe80::53%eth0` (RFC 4007, section 11). */
import type { networkInterfaces } from "node:os"

/** An interface of the host with a link-local address. */
export interface Zone {
  readonly name: string
  readonly index: number
}

/** Finds an interface by its name or index. Undefined if there is none, or if it has no link-local address. */
export function findZone(text: string): Zone | undefined {
  for (const [name, list = []] of Object.entries(interfaces())) {
    const index = list.find((entry) => entry.family === "IPv6" && entry.scopeid > 0)
    if (index?.family !== "IPv6") continue
    if (name === text || `${index.scopeid}` === text) return { name, index: index.scopeid }
  }
  return undefined
}

/** Nothing where the runtime isn't Node.js: not an import, so that bundles for a page contain nothing of it. */
function interfaces(): ReturnType<typeof networkInterfaces> {
  return globalThis.process?.getBuiltinModule?.("node:os").networkInterfaces() ?? {}
}
