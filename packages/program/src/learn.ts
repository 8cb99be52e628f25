import { type Configuration, type Options, type Program, resolveConfiguration } from "@demiflow/config"
import { type Arena, isShortage } from "@demiflow/core"
import {
  AddressFamily,
  errnoName,
  errnoSentence,
  type Native,
  NetlinkSocket,
  readNetwork,
  SocketType,
} from "@demiflow/sys"
import { Quit } from "./messages.ts"
import { readOr } from "./read-or.ts"

/** The configuration decided on, and facts that only the host knows. */
export interface Decision {
  readonly configuration: Configuration
  /** Index of the host interface on which link-local IPv6 addresses are reached. */
  readonly linkLocalScope: number | undefined
}

/** Decides the configuration from the user's options and the host's network. Throws {@link Quit}. */
export function decideConfiguration(native: Native, arena: Arena, options: Options, program: Program): Decision {
  const socket = new NetlinkSocket(native, arena)
  const network = readNetwork(socket)
  socket.close()
  const facts = {
    network,
    resolvConf: readOr("/etc/resolv.conf", ""),
    localPortRange: readOr("/proc/sys/net/ipv4/ip_local_port_range", ""),
    refusals: { v4: socketRefusal(native, AddressFamily.ipv4), v6: socketRefusal(native, AddressFamily.ipv6) },
  }
  const resolution = resolveConfiguration(options, facts, program)
  if (resolution.kind === "error") throw new Quit(resolution.message)
  const { configuration } = resolution
  const scope = configuration.v6?.outboundInterface ?? configuration.v6?.template
  const linkLocalScope = network.interfaces.find(({ name }) => name === scope)?.index
  return { configuration, linkLocalScope }
}

/** Why sockets of a family can't be opened, as in a sandbox or without support in the kernel; undefined if they can. */
function socketRefusal(native: Native, family: number): string | undefined {
  const descriptor = native.socket(family, SocketType.datagram, 0)
  if (descriptor >= 0) native.close(descriptor)
  // A shortage is reported later, by the code that is affected.
  if (descriptor >= 0 || isShortage(-descriptor)) return undefined
  return `${errnoSentence(descriptor)} (${errnoName(descriptor)})`
}
