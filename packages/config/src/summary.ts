import { Address, Interface } from "@demiflow/core"
import { type Configuration, type FamilyConfiguration, v6Advertisers } from "./configuration.ts"
import { type ConfiguredRule, formatRule } from "./forwarding-plan.ts"

/** The lines that a program prints at start. The lines and their order are those that users know. */
export function summary(configuration: Configuration): string[] {
  const { v4, v6, protocols, namespace, splicing, isHostClosed } = configuration
  if (splicing?.isOnly) return describeForwarding(configuration)
  const lines = [...describeTemplates(configuration)]
  if (namespace !== undefined) lines.push(`Namespace interface: ${namespace.interfaceName}`)
  lines.push(...describeSources(configuration))
  lines.push("MAC:", `    host: ${configuration.macAddress}`)
  if (v4?.mapHostLoopback !== undefined && !isHostClosed) lines.push(`    NAT to host 127.0.0.1: ${v4.mapHostLoopback}`)
  if (v4 !== undefined && protocols.dhcp) {
    lines.push("DHCP:", `    assign: ${v4.guestAddress}`, `    mask: ${formatMask(v4.prefixLength)}`)
    if (v4.gateway !== undefined) lines.push(`    router: ${v4.gateway}`)
  }
  if (v4 !== undefined) lines.push(...describeNames(configuration, v4))
  if (v6?.mapHostLoopback !== undefined && !isHostClosed) lines.push(`    NAT to host ::1: ${v6.mapHostLoopback}`)
  const advertisers = v6Advertisers(configuration)
  if (v6 !== undefined && advertisers !== "") {
    lines.push(`${advertisers}:`)
    if (v6.guestAddress !== undefined) lines.push(`    assign: ${v6.guestAddress}`)
    if (v6.gateway !== undefined) lines.push(`    router: ${v6.gateway}`)
    lines.push(`    our link-local: ${v6.ourLinkLocal}`)
  }
  if (v6 !== undefined) lines.push(...describeNames(configuration, v6))
  return [...lines, ...describeForwarding(configuration)]
}

function describeForwarding({ forwarding }: Configuration): string[] {
  const fromHost = forwarding.filter((rule) => rule.interface === Interface.host)
  const fromGuest = forwarding.filter((rule) => rule.interface === Interface.splice)
  return [
    ...describeRules("Inbound forwarding rules (HOST):", fromHost),
    ...describeRules("Outbound forwarding rules (SPLICE):", fromGuest),
  ]
}

function describeRules(title: string, rules: readonly ConfiguredRule[]): string[] {
  return rules.length === 0 ? [] : [title, ...rules.map((rule) => `    ${formatRule(rule)}`)]
}

function describeTemplates({ v4, v6 }: Configuration): string[] {
  const templates = [v4?.template && `${v4.template} (IPv4)`, v6?.template && `${v6.template} (IPv6)`]
  const named = templates.filter((template) => template !== undefined)
  return named.length === 0 ? [] : [`Template interface: ${named.join(", ")}`]
}

function describeSources({ v4, v6 }: Configuration): string[] {
  const interfaces = [
    v4?.outboundInterface && `${v4.outboundInterface} (IPv4)`,
    v6?.outboundInterface && `${v6.outboundInterface} (IPv6)`,
  ].filter((name) => name !== undefined)
  return [
    ...(interfaces.length > 0 ? [`Outbound interface: ${interfaces.join(", ")}`] : []),
    ...(v4?.outboundAddress === undefined ? [] : [`Outbound IPv4 address: ${v4.outboundAddress}`]),
    ...(v6?.outboundAddress === undefined ? [] : [`Outbound IPv6 address: ${v6.outboundAddress}`]),
  ]
}

function describeNames(configuration: Configuration, family: FamilyConfiguration): string[] {
  const lines: string[] = []
  if (family.nameServers.length > 0) lines.push("DNS:", ...family.nameServers.map((server) => `    ${server}`))
  if (family.dnsForward !== undefined) lines.push(`DNS forward: ${family.dnsForward} to ${family.dnsHost}`)
  // The domains belong to no IP version: they are listed once.
  if (configuration.searchDomains.length > 0 && (family === configuration.v4 || configuration.v4 === undefined)) {
    lines.push("DNS search list:", ...configuration.searchDomains.map((domain) => `    ${domain}`))
  }
  return lines
}

function formatMask(prefixLength: number): string {
  return Address.fromV4(prefixLength === 0 ? 0 : -1 << (32 - prefixLength)).toString()
}
