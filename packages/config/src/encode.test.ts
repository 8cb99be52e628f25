import { Address, MacAddress } from "@demiflow/core"
import { expect, test } from "vitest"
import { parseCommandLine } from "./command-line.ts"
import type { Configuration } from "./configuration.ts"
import { decodeConfiguration, encodeConfiguration } from "./encode.ts"
import { forwardingRules } from "./forwarding-rules.ts"
import { NO_NETWORK, usualHost } from "./host-facts.fixture.ts"
import { resolveConfiguration } from "./resolve.ts"
import { summary } from "./summary.ts"

function configurationOf(argv: string, network = usualHost()): Configuration {
  const parsed = parseCommandLine(argv.split(" ").filter(Boolean), "pasta")
  if (parsed.kind !== "run") throw new Error(JSON.stringify(parsed))
  const resolvConf = "nameserver 127.0.0.53\nnameserver 2001:db8::53\nsearch a.example\n"
  const resolution = resolveConfiguration(parsed.options, { network, resolvConf }, "pasta")
  if (resolution.kind === "error") throw new Error(resolution.message)
  return resolution.configuration
}

test.each([
  ["", usualHost()],
  ["--config-net --ns-mac-addr 02:00:00:00:00:01 -p /tmp/x -H name", usualHost()],
  ["--config-net -4", NO_NETWORK],
  ["--splice-only -t ::1/auto -T 192.0.2.1%eth0/22:127.0.0.5/23 --netns x --userns y", usualHost()],
])("a configuration survives encoding: %s", (argv, network) => {
  const configuration = configurationOf(argv, network)
  const decoded = decodeConfiguration(encodeConfiguration(configuration))
  expect(decoded).toEqual(configuration)
  expect(decoded.macAddress).toBeInstanceOf(MacAddress)
  expect(decoded.v4?.guestAddress).toBeInstanceOf(Address)
})

test.each(["", "null", "{}", '{"format":"other","configuration":{}}', "["])("other text is refused: %j", (text) => {
  expect(() => decodeConfiguration(text)).toThrow(expect.objectContaining({ code: "ERR_CONFIGURATION_FORMAT" }))
})

test("forwarding rules are those of the versions that are on", () => {
  expect(forwardingRules(configurationOf("-4"))).toEqual({
    splicing: { takesFromHost: true, keepsLoopback: false, isOnly: false },
    v4: {
      hostLoopback: Address.parse("88.198.0.161"),
      guestAddress: Address.parse("88.198.0.164"),
      addressesSetUp: [],
      ourAddress: Address.parse("88.198.0.161"),
      dnsForward: Address.parse("88.198.0.161"),
      dnsHost: Address.parse("127.0.0.53"),
    },
  })
  expect(forwardingRules(configurationOf("-6 -o 2001:db8::9 --map-guest-addr 2001:db8::8"))).toMatchObject({
    v6: { outboundAddress: Address.parse("2001:db8::9"), guestAlias: Address.parse("2001:db8::8") },
  })
  expect("v4" in forwardingRules(configurationOf("-6"))).toBe(false)
})

const NO_PORTS = "-t none -u none -T none -U none"

test("the summary says what was decided", () => {
  expect(summary(configurationOf(`${NO_PORTS} -o 88.198.0.164 --outbound-if6 eth0`))).toEqual([
    "Template interface: eth0 (IPv4), eth0 (IPv6)",
    "Namespace interface: eth0",
    "Outbound interface: eth0 (IPv6)",
    "Outbound IPv4 address: 88.198.0.164",
    "MAC:",
    "    host: 9a:55:9a:55:9a:55",
    "    NAT to host 127.0.0.1: 88.198.0.161",
    "DHCP:",
    "    assign: 88.198.0.164",
    "    mask: 255.255.255.224",
    "    router: 88.198.0.161",
    "DNS:",
    "    88.198.0.161",
    "DNS forward: 88.198.0.161 to 127.0.0.53",
    "DNS search list:",
    "    a.example",
    "    NAT to host ::1: fe80::1",
    "NDP/DHCPv6:",
    "    assign: 2001:db8:222:904::2",
    "    router: fe80::1",
    "    our link-local: fe80::1",
    "DNS:",
    "    2001:db8::53",
  ])
})

test("the summary leaves out what is off", () => {
  const lines = summary(configurationOf(`${NO_PORTS} -4 --no-dhcp --no-map-gw -D none -S none`, NO_NETWORK))
  expect(lines).toEqual(["Namespace interface: tap0", "MAC:", "    host: 9a:55:9a:55:9a:55"])
})
