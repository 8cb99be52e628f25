import type { Options } from "@demiflow/config"

/**
 * What the command line asks for that is understood, and not done yet; undefined if everything is. Nothing is worse than a
 * port that looks open and leads nowhere.
 */
export function findUnimplemented(options: Options): string | undefined {
  const ports = {
    "-t": options.tcpPorts,
    "-u": options.udpPorts,
    "-T": options.tcpNamespacePorts,
    "-U": options.udpNamespacePorts,
  }
  for (const [option, specifications] of Object.entries(ports)) {
    if (specifications.some(({ kind }) => kind !== "none")) return `option '${option}' is implemented for 'none' only`
  }
  const given: readonly (readonly [string, boolean])[] = [
    ["--freebind", options.freebind],
    ["--splice-only", options.spliceOnly],
    ["--host-lo-to-ns-lo", options.keepLoopback],
  ]
  const option = given.find(([, isGiven]) => isGiven)?.[0]
  return option === undefined ? undefined : `option '${option}' is not implemented yet`
}
