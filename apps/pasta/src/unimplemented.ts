import type { Options } from "@demiflow/config"

/**
 * What the command line asks for that is understood, and not done yet; undefined if everything is.
 */
export function findUnimplemented(options: Options): string | undefined {
  const given: readonly (readonly [string, boolean])[] = [
    ["--log-file", options.logPath !== undefined],
    ["--log-size", options.logSize !== undefined],
    ["--runas", options.runAs !== undefined],
    ["--stats", options.statisticsInterval !== undefined],
    ["--splice-only", options.spliceOnly],
    ["--netns", options.networkNamespace !== undefined],
    ["--userns", options.userNamespace !== undefined],
    ["--netns-only", options.networkNamespaceOnly],
    ["--no-pidns", options.noPidNamespace],
  ]
  const option = given.find(([, isGiven]) => isGiven)?.[0]
  if (option !== undefined) return `option '${option}' is not implemented yet`
  if (options.processId !== undefined)
    return `joining the namespaces of process ${options.processId} is not implemented yet`
  return undefined
}
