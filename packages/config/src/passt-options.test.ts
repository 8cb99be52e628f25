/** The command line of passt, where it differs from pasta's. */
import { describe, expect, test } from "vitest"
import { parseCommandLine } from "./command-line.ts"
import { helpText } from "./help.ts"
import { OPTIONS_OF_BOTH } from "./manual.fixture.ts"
import { OPTION_GROUPS } from "./option-row.ts"
import type { Options, Program } from "./options.ts"

function options(...argv: string[]): Options {
  const parsed = parseCommandLine(argv, "passt")
  if (parsed.kind !== "run") throw new Error(`not a run: ${JSON.stringify(parsed)}`)
  return parsed.options
}

function problem(argv: readonly string[], program: Program = "passt"): string {
  const parsed = parseCommandLine(argv, program)
  if (parsed.kind !== "error") throw new Error(`no error: ${parsed.kind}`)
  return parsed.message
}

describe("every option of the manual", () => {
  test.each([
    ...OPTIONS_OF_BOTH,
    ["-S", "none", "--search", "a.example b.example", "--no-dhcp-dns", "--no-dhcp-search"],
    ["-t", "22", "--tcp-ports", "23", "-u", "none", "--udp-ports", "none"],
    ["-s", "/x", "--socket", "/x", "--socket-path", "/x", "-1", "--one-off"],
    ["-F", "5", "--fd", "5", "--repair-path", "none"],
    ["--vhost-user", "--print-capabilities"],
    // passt has no local path to leave out.
    ["--no-splice"],
  ])("is accepted: %s %s …", (...argv) => {
    expect(parseCommandLine(argv, "passt")).toMatchObject({ kind: "run" })
  })

  test.each([["--migrate-exit"], ["--migrate-no-linger"]])("or refused by name: %s", (...argv) => {
    expect(problem(argv)).toMatch(/^option '--[a-z-]+' is not implemented yet$/)
  })

  test("or refused with a reason", () => {
    expect(problem(["--repair-path", "/x"])).toBe(
      "option '--repair-path' is implemented for 'none' only, not for '/x': there is no migration yet",
    )
  })

  test.each([
    ["--ns-ifname", "x"],
    ["--tcp-ns", "none"],
    ["--udp-ns", "none"],
    ["--host-lo-to-ns-lo"],
    ["--userns", "/x"],
    ["--netns", "/x"],
    ["--netns-only"],
    ["--no-netns-quit"],
    ["--no-pidns"],
    ["--config-net"],
    ["--no-copy-routes"],
    ["--no-copy-addrs"],
    ["--ns-mac-addr", "9a:55:9a:55:9a:56"],
    ["--splice-only"],
    ["--dhcp-dns"],
    ["--dhcp-search"],
  ])("of pasta is refused: %s", (...argv) => {
    expect(problem(argv)).toBe(`option '${argv[0]}' is for pasta only`)
  })
})

describe("what is given", () => {
  test("is kept", () => {
    expect(
      options(...["-l", "/var/log/x", "--log-size=40960", "--stats", "2", "--runas", "107:kvm", "--freebind"]),
    ).toMatchObject({
      logPath: "/var/log/x",
      logSize: 40_960,
      statisticsInterval: 2,
      runAs: { user: 107, group: "kvm" },
      freebind: true,
    })
    expect(options("-s", "/x", "-1")).toMatchObject({ socketPath: "/x", descriptor: undefined, oneOff: true })
  })

  test("several times takes effect as given last", () => {
    const last = options(
      ...["-l", "a", "-l", "b", "--log-size", "50000", "--log-size", "60000", "-s", "a", "--socket-path", "b"],
      ...[
        "--runas",
        "1",
        "--runas",
        "nobody",
        "--stats",
        "1",
        "--stats",
        "2",
        "-P",
        "a",
        "-P",
        "b",
        "-p",
        "a",
        "-p",
        "b",
      ],
    )
    expect(last).toMatchObject({ logPath: "b", logSize: 60_000, socketPath: "b", statisticsInterval: 2 })
    expect(last).toMatchObject({ runAs: { user: "nobody" }, pidPath: "b", pcapPath: "b" })
    expect(options("-F", "3", "-F", "0").descriptor).toBe(0)
  })

  test("with --trace is never less than that, but for -q", () => {
    expect(options("--trace", "-d").verbosity).toBe("trace")
    expect(options("-d", "--trace").verbosity).toBe("trace")
    expect(options("--trace", "-q", "-d").verbosity).toBe("debug")
  })

  test("by descriptor implies --one-off, and excludes a socket of our own", () => {
    expect(options("-F", "3").oneOff).toBe(true)
    expect(problem(["-F", "3", "-s", "x"])).toBe("Options --socket and --fd are mutually exclusive")
    expect(problem(["-s", "x", "-F", "3"])).toBe("Options --socket and --fd are mutually exclusive")
  })
})

describe("ports", () => {
  test("add up, TCP apart from UDP", () => {
    const { tcpPorts, udpPorts } = options("-t", "22", "-u", "53", "-t", "2222:22,80")
    expect(tcpPorts).toMatchObject([{ text: "22" }, { text: "2222:22,80" }])
    expect(udpPorts).toMatchObject([{ text: "53" }])
  })

  test("are none by default, and may be asked to be so more than once", () => {
    expect(options()).toMatchObject({ tcpPorts: [], udpPorts: [] })
    expect(options("-t", "none", "-t", "none").tcpPorts).toEqual([{ kind: "none" }])
    expect(options("-t", "none", "-t", "22", "-t", "23").tcpPorts).toMatchObject([{ text: "22" }, { text: "23" }])
    expect(options("-t", "none", "-u", "53").udpPorts).toMatchObject([{ text: "53" }])
  })

  test.each([
    ["-t", "22", "-t", "none"],
    ["-u", "all", "-u", "none"],
  ])("aren't taken back by none: %s %s %s %s", (...argv) => {
    expect(problem(argv)).toContain("'none' conflicts")
  })

  test("aren't found by passt itself", () => {
    expect(problem(["-t", "auto"])).toContain("'auto' port forwarding is only allowed for pasta")
    expect(problem(["-t", "8000-8010,auto"])).toContain("only allowed for pasta")
  })

  test("can't be those of the guest's loopback", () => {
    expect(problem(["-t", "22:127.0.0.1"])).toContain("127.0.0.1 can't be reached")
    expect(problem(["-t", "all:::1"])).toContain("::1 can't be reached")
  })
})

describe("arguments", () => {
  test.each([
    ["--log-size", "40959"],
    ["--log-size", "1M"],
    ["--stats", "0"],
    ["--stats", "2147484"],
    ["--stats", "x"],
    ["--runas", "a:b:c"],
    ["-l", ""],
    ["-s", ""],
    ["-s", "x".repeat(108)],
    ["-s", "é".repeat(54)],
    ["-F", "-1"],
    ["-F", "1"],
    ["-F", "2"],
    ["-F", "x"],
    ["-F", "2147483648"],
  ])("%s %j is refused", (option, argument) => {
    expect(problem([option, argument])).toMatch(/^Invalid /)
    expect(problem([option, argument])).toContain(`: ${argument}`)
  })

  test("a socket's path may fill what the kernel has for it", () => {
    expect(options("-s", "x".repeat(107)).socketPath).toHaveLength(107)
  })
})

describe("help", () => {
  const sections = (program: Program) => OPTION_GROUPS.filter((group) => helpText(program).includes(`\n${group}:\n`))

  test("has the sections that concern the program", () => {
    expect(sections("passt")).toEqual(OPTION_GROUPS.filter((group) => group !== "Namespace"))
    expect(sections("pasta")).toEqual(OPTION_GROUPS.filter((group) => group !== "Hypervisor"))
  })

  test("explains SPEC", () => {
    expect(helpText("passt")).toContain("\n  SPEC is none, or ")
    expect(helpText("pasta")).toContain("\n  SPEC is none, or ")
    expect([helpText("passt"), helpText("pasta")].map((text) => /^ {4}auto /m.test(text))).toEqual([false, true])
  })
})
