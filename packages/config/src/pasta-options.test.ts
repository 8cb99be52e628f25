/** The command line of pasta, where it differs from passt's. */
import { describe, expect, test } from "vitest"
import { parseCommandLine } from "./command-line.ts"
import { OPTIONS_OF_BOTH } from "./manual.fixture.ts"
import { OPTION_TABLE } from "./option-table.ts"
import type { Options } from "./options.ts"

function run(...argv: string[]): { options: Options; operands: readonly string[] } {
  const parsed = parseCommandLine(argv, "pasta")
  if (parsed.kind !== "run") throw new Error(`not a run: ${JSON.stringify(parsed)}`)
  return parsed
}

const options = (...argv: string[]) => run(...argv).options

function problem(...argv: string[]): string {
  const parsed = parseCommandLine(argv, "pasta")
  if (parsed.kind !== "error") throw new Error(`no error: ${JSON.stringify(parsed)}`)
  return parsed.message
}

describe("every option of the manual", () => {
  test.each([
    ...OPTIONS_OF_BOTH,
    ["-S", "none", "--search", "a.example b.example", "--dhcp-dns", "--dhcp-search"],
    ["-t", "22", "--tcp-ports", "auto,~22", "-u", "none", "--udp-ports", "none"],
    ["-T", "22", "--tcp-ns", "23", "-U", "all", "--udp-ns", "127.0.0.1/auto"],
    ["-I", "x", "--ns-ifname", "x", "--ns-mac-addr", "9a:55:9a:55:9a:56"],
    ["--config-net", "--no-copy-routes", "--no-copy-addrs"],
    ["--host-lo-to-ns-lo", "--splice-only"],
    ["--no-splice", "--no-pidns", "--netns-only", "--no-netns-quit"],
    ["--userns", "/x", "--netns", "x"],
  ])("is accepted: %s %s …", (...argv) => {
    expect(parseCommandLine(argv, "pasta")).toMatchObject({ kind: "run" })
  })

  test.each([
    ["--socket", "/x"],
    ["--fd", "3"],
    ["--one-off"],
    ["--repair-path", "none"],
    ["--vhost-user"],
    ["--print-capabilities"],
    ["--migrate-exit"],
    ["--migrate-no-linger"],
    ["--no-dhcp-dns"],
    ["--no-dhcp-search"],
  ])("of passt is refused: %s", (...argv) => {
    expect(problem(...argv)).toBe(`option '${argv[0]}' is for passt only`)
  })

  test.each([["-s", "/x"], ["-F", "3"], ["-1"]])("of passt is refused: %s", (...argv) => {
    expect(problem(...argv)).toBe(`invalid option -- '${argv[0].slice(1)}'`)
  })
})

describe("which namespace", () => {
  const target = (...argv: string[]) => {
    const { processId, networkNamespace, userNamespace, networkNamespaceOnly } = options(...argv)
    return { processId, networkNamespace, userNamespace, networkNamespaceOnly }
  }
  const nothing = {
    processId: undefined,
    networkNamespace: undefined,
    userNamespace: undefined,
    networkNamespaceOnly: false,
  }

  test.each([
    [[], nothing],
    [["1295969"], { ...nothing, processId: 1_295_969 }],
    [["--", "1295969"], { ...nothing, processId: 1_295_969 }],
    [["--userns", "/u", "12"], { ...nothing, processId: 12, userNamespace: "/u" }],
    [["--netns-only", "12"], { ...nothing, processId: 12, networkNamespaceOnly: true }],
    [["--netns", "blue"], { ...nothing, networkNamespace: "/run/netns/blue" }],
    [["--netns=./blue"], { ...nothing, networkNamespace: "./blue" }],
    [
      ["--netns", "/proc/12/ns/net", "--userns=/u"],
      { ...nothing, networkNamespace: "/proc/12/ns/net", userNamespace: "/u" },
    ],
    [["--netns", "a", "--netns", "b"], { ...nothing, networkNamespace: "/run/netns/b" }],
    [["--netns-only", "--netns", "a"], { ...nothing, networkNamespace: "/run/netns/a", networkNamespaceOnly: true }],
    [["--userns", "/u", "--userns", "/v", "ls"], { ...nothing, userNamespace: "/v" }],
    [["--netns-only", "ls"], { ...nothing, networkNamespaceOnly: true }],
  ])("%j", (argv, expected) => {
    expect(target(...argv)).toEqual(expected)
  })

  test.each([
    [["12"], []],
    [
      ["12", "34"],
      ["12", "34"],
    ],
    [["12a"], ["12a"]],
    [["-q", "--", "+12"], ["+12"]],
    [
      ["ls", "12"],
      ["ls", "12"],
    ],
  ])("a number alone is a process, all else a command: %j", (argv, operands) => {
    expect(run(...argv).operands).toEqual(operands)
  })

  test.each([
    [["--netns", "a", "12"], "Both --netns and PID or command given"],
    [["--netns", "a", "ls", "-l"], "Both --netns and PID or command given"],
    [["--userns", "/u", "--netns-only", "12"], "Both --userns and --netns-only given"],
    [["--netns-only", "--userns", "/u", "ls"], "Both --userns and --netns-only given"],
    [["--netns-only", "--userns", "/u", "--netns", "a"], "Both --userns and --netns-only given"],
    [["--no-pidns", "12"], "--no-pidns is for a command: it can't be given with a PID or with --netns"],
    [["--no-pidns", "--netns", "a"], "--no-pidns is for a command: it can't be given with a PID or with --netns"],
    [["0"], "Invalid PID: 0"],
    [["2147483648"], "Invalid PID: 2147483648"],
    [["--userns", ""], "Invalid userns: "],
    [["--netns", ""], "Invalid netns: "],
    [["--netns", ".."], "Invalid netns: .."],
  ])("contradictions: %j", (argv, message) => {
    expect(problem(...argv)).toBe(message)
  })

  test("--no-pidns is for a command, or a shell", () => {
    expect([options("--no-pidns", "ls").noPidNamespace, options("--no-pidns").noPidNamespace]).toEqual([true, true])
  })
})

describe("the local path", () => {
  test.each([
    [["--no-splice", "--host-lo-to-ns-lo"], "Options --no-splice and --host-lo-to-ns-lo are mutually exclusive"],
    [["--host-lo-to-ns-lo", "--no-splice"], "Options --no-splice and --host-lo-to-ns-lo are mutually exclusive"],
    [["--splice-only", "--no-splice"], "Options --no-splice and --splice-only are mutually exclusive"],
  ])("can't be both off and special: %j", (argv, message) => {
    expect(problem(...argv)).toBe(message)
  })
})

describe("ports", () => {
  test("add up, for each option apart", () => {
    const given = options("-t", "22", "-u", "53", "-T", "auto", "-U", "none", "-t", "2222:22")
    expect(given.tcpPorts).toMatchObject([{ text: "22" }, { text: "2222:22" }])
    expect(given.udpPorts).toMatchObject([{ text: "53" }])
    expect(given.tcpNamespacePorts).toMatchObject([{ text: "auto", isAuto: true }])
    expect(given.udpNamespacePorts).toEqual([{ kind: "none" }])
  })

  test.each(["-t", "-u", "-T", "-U"])("of %s may follow none, and aren't taken back by it", (option) => {
    expect(parseCommandLine([option, "none", option, "auto"], "pasta").kind).toBe("run")
    expect(problem(option, "22", option, "none")).toContain("'none' conflicts")
  })

  test.each(["-t", "-u", "-T", "-U"])("of %s that are malformed are refused", (option) => {
    expect(problem(option, "22-20")).toMatch(/^Invalid port specifier 22-20: /)
  })

  test("may lead to the namespace's loopback", () => {
    expect(options("-t", "22:127.0.0.1").tcpPorts).toMatchObject([{ text: "22:127.0.0.1" }])
  })
})

describe("orchestrators", () => {
  test("Podman's call is read", () => {
    const argv =
      "--config-net -t 127.0.0.1/8080-8080:80-80 --dns-forward 169.254.1.1 -u none -T none -U none --no-map-gw --quiet " +
      "--netns /run/user/1000/netns/netns-1234 --map-guest-addr 169.254.1.2"
    const { options: given, operands } = run(...argv.split(" "))
    expect(operands).toEqual([])
    expect(given).toMatchObject({
      configureNamespace: true,
      verbosity: "quiet",
      noMapGateway: true,
      networkNamespace: "/run/user/1000/netns/netns-1234",
      userNamespace: undefined,
      tcpPorts: [{ text: "127.0.0.1/8080-8080:80-80" }],
      udpPorts: [{ kind: "none" }],
      tcpNamespacePorts: [{ kind: "none" }],
      udpNamespacePorts: [{ kind: "none" }],
    })
    expect([given.dnsForward.v4, given.mapGuestAddress.v4].join()).toBe("169.254.1.1,169.254.1.2")
  })

  test.each([
    [["4321"], { processId: 4321 }],
    [
      ["--userns=/proc/4321/ns/user", "--netns=/tmp/state/netns"],
      { userNamespace: "/proc/4321/ns/user", networkNamespace: "/tmp/state/netns" },
    ],
  ])("RootlessKit's call is read: %j", (last, namespace) => {
    const argv =
      "--stderr --ns-ifname=tap0 --mtu=65520 --config-net --address=10.0.2.100 --netmask=24 --gateway=10.0.2.2 " +
      "--dns-forward=10.0.2.3 --no-map-gw --ipv4-only --tcp-ports=auto --udp-ports=auto"
    expect(options(...argv.split(" "), ...last)).toMatchObject({
      ...namespace,
      namespaceInterface: "tap0",
      mtu: 65_520,
      netmask: 24,
      ipv4Only: true,
      tcpPorts: [{ isAuto: true }],
      udpPorts: [{ isAuto: true }],
    })
  })

  test("bundles, attached arguments and abbreviations are read, up to the command", () => {
    const { options: given, operands } = run(
      "-qf4tnone",
      "-unone",
      "--tcp-n",
      "none",
      "--udp-ns=none",
      "ls",
      "-t",
      "22",
    )
    expect(given).toMatchObject({
      verbosity: "quiet",
      foreground: true,
      ipv4Only: true,
      tcpPorts: [{ kind: "none" }],
      udpPorts: [{ kind: "none" }],
      tcpNamespacePorts: [{ kind: "none" }],
      udpNamespacePorts: [{ kind: "none" }],
    })
    expect(operands).toEqual(["ls", "-t", "22"])
  })

  test.each([
    [["--foo"], "unrecognized option '--foo'"],
    [["--netns"], "option '--netns' requires an argument"],
    [["--config-net=x"], "option '--config-net' doesn't allow an argument"],
    [["-t"], "option requires an argument -- 't'"],
    [["-qX"], "invalid option -- 'X'"],
    [["--net", "x"], "option '--net' is ambiguous; possibilities: '--netmask' '--netns' '--netns-only'"],
  ])("mistakes are reported as getopt does: %j", (argv, message) => {
    expect(problem(...argv)).toBe(message)
  })

  test("an exact name wins over longer ones", () => {
    expect(options("--netns", "x").networkNamespace).toBe("/run/netns/x")
  })
})

test("no option is known to both programs and done by one of them only", () => {
  for (const { long, unimplementedIn, only } of OPTION_TABLE) {
    const missing = unimplementedIn ?? []
    expect([long[0], only === undefined && missing.length === 1]).toEqual([long[0], false])
  }
})
