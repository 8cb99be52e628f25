import { parseCommandLine, resolveConfiguration } from "@demiflow/config"
import { memoryStack } from "@demiflow/testkit"
import { describe, expect, it } from "vitest"
import { protocolPlugins } from "./protocols.ts"

/** Names of the handlers for a command line, on a host without a network. */
function handlers(...argv: string[]): string[] {
  const parsed = parseCommandLine(argv, "pasta")
  if (parsed.kind !== "run") throw new Error(JSON.stringify(parsed))
  const facts = { network: { interfaces: [], addresses: [], routes: [] }, resolvConf: "" }
  const resolution = resolveConfiguration(parsed.options, facts, "pasta")
  if (resolution.kind !== "configuration") throw new Error(resolution.message)
  const { stack } = memoryStack(protocolPlugins(resolution.configuration))
  return stack.handlers.map((handler) => handler.name)
}

describe("protocolPlugins", () => {
  it("has all of them, those with a claim to a port or a part of ICMP first", () => {
    expect(handlers()).toEqual(["arp", "ndp", "dhcp", "dhcpv6", "tcp", "udp", "icmp", "refusal"])
  })

  it("leaves out those that are switched off", () => {
    expect(handlers("--no-tcp", "--no-dhcp")).toEqual(["arp", "ndp", "dhcpv6", "udp", "icmp", "refusal"])
    expect(handlers("--no-udp", "--no-dhcpv6", "--no-ndp")).toEqual(["arp", "dhcp", "tcp", "icmp", "refusal"])
    expect(handlers("--no-icmp")).toEqual(["arp", "dhcp", "dhcpv6", "tcp", "udp", "refusal"])
  })

  it("leaves out those of a version of IP that is switched off", () => {
    expect(handlers("-4")).toEqual(["arp", "dhcp", "tcp", "udp", "icmp", "refusal"])
    expect(handlers("-6")).toEqual(["ndp", "dhcpv6", "tcp", "udp", "icmp", "refusal"])
  })
})
