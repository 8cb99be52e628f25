import type { HostNetwork } from "@demiflow/core"
import { parseCommandLine } from "./command-line.ts"
import type { Configuration } from "./configuration.ts"
import { usualHost } from "./host-facts.fixture.ts"
import type { Program } from "./options.ts"
import { type HostFacts, type Resolution, resolveConfiguration } from "./resolve.ts"

/** The configuration of a command line. Throws if it is an error. */
export function resolve(
  argv: string,
  { network = usualHost(), resolvConf = "", program = "pasta" }: Partial<HostFacts & { program: Program }> = {},
): Configuration {
  const resolution = attempt(argv, network, resolvConf, program)
  if (resolution.kind === "error") throw new Error(resolution.message)
  return resolution.configuration
}

/** The result of a command line. */
export function attempt(
  argv: string,
  network: HostNetwork = usualHost(),
  resolvConf = "",
  program: Program = "pasta",
): Resolution {
  const parsed = parseCommandLine(argv.split(" ").filter(Boolean), program)
  if (parsed.kind !== "run") throw new Error(JSON.stringify(parsed))
  return resolveConfiguration(parsed.options, { network, resolvConf }, program)
}
