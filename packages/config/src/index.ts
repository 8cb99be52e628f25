/**
 * From a command line to a decided configuration.
 *
 * {@link parseCommandLine} takes the arguments apart, with the grammar and the meaning that users of `pasta` and `passt`
 * know. {@link resolveConfiguration} joins the options with what the host has (interfaces, addresses, routes, the text
 * of its `resolv.conf`) to one value in which nothing is left to be decided. Both are pure functions: no file is read,
 * nothing is printed. {@link summary} says what was decided, {@link encodeConfiguration} carries it to another process,
 * {@link forwardingRules} is its part for `@demiflow/flow`.
 *
 * @packageDocumentation
 */
export * from "./command-line.ts"
export * from "./configuration.ts"
export * from "./encode.ts"
export { type ConfiguredRule, formatRule } from "./forwarding-plan.ts"
export * from "./forwarding-rules.ts"
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
export { type Account, type AccountResolution, type RunAs, resolveRunAs } from "./run-as.ts"
export * from "./running.ts"
export * from "./summary.ts"
