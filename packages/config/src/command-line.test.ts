import { Address } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { type ParsedCommandLine, parseCommandLine } from "./command-line.ts"
import { helpText } from "./help.ts"
import { OPTION_TABLE } from "./option-table.ts"
import type { Options } from "./options.ts"

function options(...argv: string[]): Options {
  const parsed = parseCommandLine(argv, "pasta")
  if (parsed.kind !== "run") throw new Error(`not a run: ${JSON.stringify(parsed)}`)
  return parsed.options
}

function problem(...argv: string[]): string {
  const parsed: ParsedCommandLine = parseCommandLine(argv, "pasta")
  if (parsed.kind !== "error") throw new Error(`no error: ${parsed.kind}`)
  return parsed.message
}

describe("what a command line asks for", () => {
  test("a command keeps its own options", () => {
    expect(parseCommandLine(["--config-net", "ls", "-l"], "pasta")).toMatchObject({
      kind: "run",
      operands: ["ls", "-l"],
      options: { configureNamespace: true },
    })
  })

  test("a command behind -- may look like an option", () => {
    expect(parseCommandLine(["--", "-x"], "pasta")).toMatchObject({ kind: "run", operands: ["-x"] })
  })

  test("help and version end everything, also in front of mistakes", () => {
    expect(parseCommandLine(["-h", "--foo"], "pasta")).toEqual({ kind: "help" })
    expect(parseCommandLine(["-4", "--version", "-6"], "passt")).toEqual({ kind: "version" })
  })

  test("the first mistake is reported", () => {
    expect(problem("-m", "10", "--foo")).toMatch(/^Invalid MTU: 10/)
    expect(problem("--foo", "-m", "10")).toBe("unrecognized option '--foo'")
  })

  test("options of the other program are refused", () => {
    expect(problem("--no-dhcp-dns")).toBe("option '--no-dhcp-dns' is for passt only")
    expect(problem("-s", "x")).toBe("invalid option -- 's'")
    expect(parseCommandLine(["--config-net"], "passt")).toMatchObject({ kind: "error" })
    expect(parseCommandLine(["-I", "eth0"], "passt")).toEqual({ kind: "error", message: "invalid option -- 'I'" })
    expect(parseCommandLine(["ls"], "passt")).toMatchObject({ kind: "error" })
  })

  test("a mistake is reported in one line, whatever the argument", () => {
    expect(problem("-a", "192.0.2.1\nfoo")).toBe("Invalid address: 192.0.2.1?foo")
    expect(problem("--foo\tbar")).toBe("unrecognized option '--foo?bar'")
  })
})

describe("conflicts", () => {
  test("of -4 and -6, the last one counts", () => {
    expect(options("-4", "-6")).toMatchObject({ ipv4Only: false, ipv6Only: true })
    expect(options("-6", "-4")).toMatchObject({ ipv4Only: true, ipv6Only: false })
  })

  test("a netmask and CIDR notation exclude each other, for IPv4", () => {
    expect(problem("-a", "192.0.2.1/24", "-n", "24")).toMatch(/mutually exclusive/)
    expect(problem("-n", "24", "-a", "192.0.2.1/24")).toMatch(/mutually exclusive/)
    expect(options("-n", "24", "-a", "2001:db8::1/64").netmask).toBe(24)
  })

  test("an IPv4-mapped address is the IPv4 address", () => {
    const { address, gateway, outboundAddress } = options(
      "-a",
      "::ffff:192.0.2.1/24",
      "-g",
      "::ffff:192.0.2.2",
      "-o",
      "::ffff:192.0.2.3",
    )
    expect(address).toEqual({ v4: { address: Address.parse("192.0.2.1"), prefixLength: 24 }, v6: undefined })
    expect([gateway.v4, gateway.v6, outboundAddress.v4].map(String)).toEqual(["192.0.2.2", "undefined", "192.0.2.3"])
  })

  test("of several that set one thing, the last takes effect", () => {
    expect(options("-d", "-q").verbosity).toBe("quiet")
    expect(options("-q", "--trace").verbosity).toBe("trace")
    expect(options("-m", "1500", "-m", "0").mtu).toBe(0)
    expect(options("-a", "192.0.2.1/24", "-a", "192.0.2.2").address.v4).toEqual({
      address: Address.parse("192.0.2.2"),
      prefixLength: undefined,
    })
    expect(options("-D", "192.0.2.1", "-D", "none").nameServers).toEqual([])
    expect(options("-D", "none", "-D", "192.0.2.1", "-D", "::1").nameServers?.map(String)).toEqual(["192.0.2.1", "::1"])
    expect(options("-S", "a.example", "-S", "b.example c.example").searchDomains).toEqual(["b.example", "c.example"])
  })

  test("one address of each version is kept", () => {
    const { address, gateway, dnsForward } = options(
      ...["-a", "192.0.2.1", "-a", "2001:db8::1", "-g", "192.0.2.9", "-g", "fe80::9"],
      ...["--dns-forward", "192.0.2.3", "--dns-forward", "2001:db8::3"],
    )
    expect([address.v4?.address, address.v6?.address].join()).toBe("192.0.2.1,2001:db8::1")
    expect([gateway.v4, gateway.v6].join()).toBe("192.0.2.9,fe80::9")
    expect([dnsForward.v4, dnsForward.v6].join()).toBe("192.0.2.3,2001:db8::3")
  })

  test("--map-host-loopback none undoes addresses before, and implies --no-map-gw", () => {
    const none = options("--map-host-loopback", "192.0.2.1", "--map-host-loopback", "none")
    expect(none).toMatchObject({ noMapGateway: true, mapHostLoopback: { v4: undefined, v6: undefined } })
    const again = options("--map-host-loopback", "none", "--map-host-loopback", "192.0.2.1")
    expect(String(again.mapHostLoopback.v4)).toBe("192.0.2.1")
  })
})

describe("arguments", () => {
  test.each([
    ["-m", "67"],
    ["-m", "65522"],
    ["-m", "-1"],
    ["-m", "1e3"],
    ["-m", ""],
    ["-a", "foo"],
    ["-a", "0.0.0.0"],
    ["-a", "127.0.0.1"],
    ["-a", "224.0.0.1"],
    ["-a", "255.255.255.255"],
    ["-a", "192.0.2.1/33"],
    ["-a", "192.0.2.1/"],
    ["-a", "::"],
    ["-a", "::1"],
    ["-a", "ff02::1"],
    ["-a", "2001:db8::1/129"],
    ["-g", "foo"],
    ["-g", "224.0.0.1"],
    ["-n", "33"],
    ["-n", "255.0.255.0"],
    ["-n", "0.0.0.255"],
    ["-M", "foo"],
    ["-M", "01:00:5e:00:00:01"],
    ["-M", "00:00:00:00:00:00"],
    ["-i", ""],
    ["-i", "averyveryverylongname"],
    ["-I", "a/b"],
    ["-I", ".."],
    ["-o", "::"],
    ["-D", "foo"],
    ["-D", "0.0.0.0"],
    ["-S", ""],
    ["-S", "two..dots"],
    ["-S", `${"a".repeat(64)}.example`],
    ["-p", ""],
    ["-H", "a b"],
    ["--dns-forward", "127.0.0.1"],
    ["--dns-host", "nowhere"],
    ["--map-host-loopback", "::1"],
    ["--map-guest-addr", "foo"],
    ["--ns-mac-addr", "ff:ff:ff:ff:ff:ff"],
  ])("%s %j is refused in one line that shows it", (option, argument) => {
    expect(problem(option, argument)).toContain(`: ${argument}`)
    expect(problem(option, argument)).not.toContain("\n")
  })

  test("netmasks are given in dotted form or as a number", () => {
    const netmask = (text: string) => options("-n", text).netmask
    expect(["255.255.255.224", "24", "0", "0.0.0.0", "255.255.255.255", "128.0.0.0"].map(netmask)).toEqual([
      27, 24, 0, 0, 32, 1,
    ])
  })

  test("a MAC address is given with colons or dashes", () => {
    expect(String(options("-M", "9A-55-00-00-00-01").macAddress)).toBe("9a:55:00:00:00:01")
  })
})

describe("help", () => {
  test("names every option that works, and none that doesn't", () => {
    const text = helpText("pasta")
    for (const row of OPTION_TABLE) {
      const shown = text.includes(`--${row.long[0]} `) || text.includes(`--${row.long[0]}\n`)
      expect([row.long[0], shown]).toEqual([
        row.long[0],
        !row.unimplementedIn?.includes("pasta") && row.only !== "passt",
      ])
    }
  })

  test("stays within 100 columns", () => {
    for (const line of helpText("passt").split("\n")) expect(line.length).toBeLessThanOrEqual(100)
  })

  test("no two options share a name or a letter", () => {
    const names = OPTION_TABLE.flatMap((row) => [...row.long, ...(row.short ? [row.short] : [])])
    expect(new Set(names).size).toBe(names.length)
  })
})
