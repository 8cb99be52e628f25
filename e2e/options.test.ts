/** The command line: what is printed, what is refused, and how. */
import { readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { fileFor, testWith } from "./harness/machine.ts"
import { Pasta, runPasta } from "./harness/pasta.ts"
import { run } from "./harness/processes.ts"
import { tcpClient, udpClient, useServer } from "./harness/servers.ts"
import { ipv4, ipv6, useTopology } from "./harness/topology.ts"

const topology = useTopology()
useServer("tcp-server", topology)
useServer("udp-server", topology)

const pasta = (...argv: string[]) => runPasta(topology.host, argv)

describe("information", () => {
  test.each(["-h", "--help", "--hel"])("%s prints how to use it", async (option) => {
    const { status, stdout, stderr } = await pasta(option)
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" })
    expect(stdout).toMatch(/^Usage: .*pasta/)
    for (const each of ["--config-net", "--map-guest-addr", "--outbound-if4", "--pcap"]) expect(stdout).toContain(each)
  })

  test("--version says which version it is", async () => {
    const { status, stdout, stderr } = await pasta("--version")
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" })
    expect(stdout).toMatch(/^pasta \d+\.\d+\.\d+/)
  })
})

describe("what is refused is refused with one line and status 1:", () => {
  test.each([
    ["an unknown option", ["--no-such-option"]],
    ["an unknown short option", ["-Y"]],
    ["an option without its value", ["--mtu"]],
    ["an abbreviation of several options", ["--no-d", "--", "true"]],
    ["a value for an option that takes none", ["--config-net=yes", "--", "true"]],
    ["-a that is no address", ["-a", "192.0.2.300", "--", "true"]],
    ["-a with a prefix length, and -n", ["-a", "192.0.2.9/24", "-n", "25", "--", "true"]],
    ["a prefix length that is too long", ["-a", "192.0.2.9/33", "--", "true"]],
    ["a mask with holes", ["-n", "255.0.255.0", "--", "true"]],
    ["-g that is no address", ["-g", "gateway", "--", "true"]],
    ["-M that is no hardware address", ["-M", "02:00:5e", "--", "true"]],
    ["--ns-mac-addr that is no hardware address", ["--ns-mac-addr", "zz:zz:zz:zz:zz:zz", "--", "true"]],
    ["an MTU that is no number", ["-m", "many", "--", "true"]],
    ["an MTU that is too large", ["-m", "70000", "--", "true"]],
    ["an interface that is not there", ["-i", "no-such-if", "--", "true"]],
    ["an outbound interface that is not there", ["--outbound-if4", "no-such-if", "--", "true"]],
    ["an interface name that is too long", ["-I", "a-name-of-many-letters", "--", "true"]],
    ["-o that is no address", ["-o", "everywhere", "--", "true"]],
    ["-D that is no address", ["-D", "resolver", "--", "true"]],
    ["--dns-forward that is no address", ["--dns-forward", "resolver", "--", "true"]],
    ["--dns-host that is no address", ["--dns-host", "resolver", "--", "true"]],
    ["--map-host-loopback that is no address", ["--map-host-loopback", "home", "--", "true"]],
    ["--map-guest-addr that is no address", ["--map-guest-addr", "home", "--", "true"]],
    ["a capture file that can't be written", ["-p", "/proc/no-such-file", "--", "true"]],
    ["a PID file that can't be written", ["-P", "/proc/no-such-file", "--", "true"]],
  ])("%s", async (_what, argv) => {
    const { status, stdout, stderr } = await pasta(...argv)
    expect(stderr).toMatch(/^[^\n]+\n$/)
    expect(stderr).not.toMatch(/\bat .*:\d+:\d+/) // No stack trace.
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" })
  })
})

describe("what protocols are left out", () => {
  const unreached = async (options: readonly string[], scenario: "tcp" | "udp"): Promise<boolean> => {
    const running = await Pasta.start(topology, { options: ["--config-net", ...options] })
    try {
      if (scenario === "udp") {
        const request = { scenario: "sizes", sizes: [10], attempts: 1 }
        return (await udpClient<{ intact: number[] }>(running.guest, ipv4, request)).intact.length === 0
      }
      const request = { scenario: "attempt", timeout: 1500 }
      return (await tcpClient<{ outcome: string }>(running.guest, ipv4, request)).outcome === "late"
    } finally {
      await running.stop()
    }
  }

  test("--no-tcp drops TCP in silence, and nothing else", async () => {
    expect(await unreached(["--no-tcp"], "tcp")).toBe(true)
    expect(await unreached(["--no-tcp"], "udp")).toBe(false)
  })

  test("--no-udp drops UDP in silence, and nothing else", async () => {
    expect(await unreached(["--no-udp"], "udp")).toBe(true)
    expect(await unreached(["--no-udp"], "tcp")).toBe(false)
  })

  testWith("ping")("--no-icmp drops echo requests in silence, and nothing else", async () => {
    const ping = (wait: string) => ["ping", "-c", "1", "-W", wait, ipv4.server]
    expect((await pasta("--config-net", "--no-icmp", "--", ...ping("1"))).status).toBe(1)
    expect((await pasta("--config-net", "--", ...ping("10"))).status).toBe(0)
    expect(await unreached(["--no-icmp"], "tcp")).toBe(false)
  })

  testWith("ping")("--no-ndp answers no neighbour solicitation", async () => {
    const ping = (wait: string) => ["ping", "-c", "1", "-W", wait, ipv6.server]
    expect((await pasta("--config-net", "--no-ndp", "--", ...ping("1"))).status).not.toBe(0)
    expect((await pasta("--config-net", "--", ...ping("10"))).status).toBe(0)
  })
})

describe("what is written", () => {
  testWith("tcpdump")("-p captures what crosses the tap device, both ways", async () => {
    const file = fileFor("capture.pcap")
    const running = await Pasta.start(topology, { options: ["--config-net", "-p", file] })
    await tcpClient(running.guest, ipv4, { scenario: "upload", bytes: 300_000, seed: 51 })
    await udpClient(running.guest, ipv6, { scenario: "sizes", sizes: [1400] })
    await running.stop()
    const { stdout, status } = await run(["tcpdump", "-nn", "-r", file])
    expect(status).toBe(0)
    expect(stdout).toMatch(/192\.0\.2\.2\.\d+ > 198\.51\.100\.7\.5000: Flags \[S\]/)
    expect(stdout).toMatch(/198\.51\.100\.7\.5000 > 192\.0\.2\.2\.\d+: Flags \[S\.\]/)
    expect(stdout).toMatch(/2001:db8:1::2\.\d+ > 2001:db8:2::7\.5001: UDP, length 1400/)
    expect(stdout).toMatch(/2001:db8:2::7\.5001 > 2001:db8:1::2\.\d+: UDP, length 1400/)
    // The capture contains everything that the guest sent, and sequence numbers have no gap.
    const lengths = [
      ...stdout.matchAll(/192\.0\.2\.2\.\d+ > 198\.51\.100\.7\.5000: Flags \[.*\], seq \d+:\d+.* length (\d+)/g),
    ]
    expect(lengths.reduce((sum, [, length]) => sum + Number(length), 0)).toBeGreaterThanOrEqual(300_000)
  })

  test("-P writes the process number once everything is ready", async () => {
    const file = fileFor("pasta.pid")
    const running = await Pasta.start(topology, { options: ["--config-net", "-P", file] })
    const written = readFileSync(file, "utf8")
    expect(written).toMatch(/^\d+\n$/)
    expect(running.processes()).toContain(Number(written))
    await running.stop()
  })

  test("by default, nothing but what the command prints", async () => {
    expect(await pasta("--config-net", "--", "true")).toMatchObject({ status: 0, stdout: "", stderr: "" })
    expect(await pasta("-q", "--config-net", "--", "true")).toMatchObject({ status: 0, stdout: "", stderr: "" })
  })

  test("-d says what it does, on the error output; --trace shows packets", async () => {
    const command = ["--config-net", "--", "sh", "-c", "ping -c 1 -W 5 198.51.100.7 >/dev/null"]
    const debug = await pasta("-d", ...command)
    expect(debug).toMatchObject({ status: 0, stdout: "" })
    expect(debug.stderr).toMatch(/\bflow \d+ \(icmp\) tap /)
    const trace = await pasta("--trace", ...command)
    expect(trace.stderr.split("\n").length).toBeGreaterThan(debug.stderr.split("\n").length)
  })
})
