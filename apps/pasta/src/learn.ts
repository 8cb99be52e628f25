import { readFileSync } from "node:fs"
import { type Configuration, type Options, resolveConfiguration } from "@demiflow/config"
import type { Arena } from "@demiflow/core"
import { type Native, NetlinkSocket, readNetwork } from "@demiflow/sys"
import type { IdentityFacts } from "./identity.ts"
import { Quit } from "./messages.ts"

/** Decides the configuration from what the user asked for and what the host has. Throws {@link Quit}. */
export function decideConfiguration(native: Native, arena: Arena, options: Options): Configuration {
  const socket = new NetlinkSocket(native, arena)
  const network = readNetwork(socket)
  socket.close()
  const resolution = resolveConfiguration(options, { network, resolvConf: readOr("/etc/resolv.conf", "") }, "pasta")
  if (resolution.kind === "error") throw new Quit(resolution.message)
  return resolution.configuration
}

/** What is known of who we are. */
export function readIdentityFacts(): IdentityFacts {
  return {
    user: process.geteuid?.() ?? 0,
    group: process.getegid?.() ?? 0,
    userMap: readOr("/proc/self/uid_map", ""),
    groupMap: readOr("/proc/self/gid_map", ""),
    passwords: readOr("/etc/passwd", ""),
  }
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return otherwise
  }
}
