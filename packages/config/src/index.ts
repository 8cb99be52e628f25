/**
 * Turns a command line into a complete configuration.
 *
 * {@link parseCommandLine} parses the arguments, with the grammar and the meaning that users of `pasta` and `passt`
 * know. {@link resolveConfiguration} combines the options with facts about the host (interfaces, addresses, routes, the
 * text of its `resolv.conf`) into one value in which everything is decided. Both are pure functions: they read no file
 * and print nothing. {@link summary} describes the configuration, {@link encodeConfiguration} carries it to another
 * process, and {@link forwardingRules} extracts the part for `@demiflow/flow`.
 *
 * @packageDocumentation
 */
export * from "./command-line.ts"
export * from "./configuration.ts"
export * from "./encode.ts"
export {
  anyAddress,
  type ConfiguredRule,
  type ForwardingFacts,
  type ForwardingPlan,
  type ForwardingRequest,
  formatRule,
  overlaps,
  planForwarding,
} from "./forwarding-plan.ts"
export * from "./forwarding-rules.ts"
export { type OptionShape, type ScannedOption, type ScannedOptions, scanOptions } from "./getopt.ts"
export * from "./help.ts"
export * from "./hypervisor.ts"
export * from "./namespace-target.ts"
export { defaultOptions, type Options, type Program, type Verbosity } from "./options.ts"
export * from "./plugin-options.ts"
export {
  type ForwardedPorts,
  type MappedRange,
  type ParsedPortSpecification,
  type PortRange,
  type PortSpecification,
  parsePortSpecification,
} from "./port-specification.ts"
export * from "./resolv-conf.ts"
export * from "./resolve.ts"
export { ephemeralPorts } from "./resolve-forwarding.ts"
export { type Account, type AccountResolution, type RunAs, resolveRunAs } from "./run-as.ts"
export * from "./running.ts"
export * from "./summary.ts"
