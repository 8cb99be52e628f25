/** Name resolution: directly, over both transports, and through an address that pasta maps to a name server. */
import { writeFileSync } from "node:fs"
import { describe, expect } from "vitest"
import { dig, testResolution, useNameServer } from "./cases/names.ts"
import { fileFor, testWith } from "./harness/machine.ts"
import { runPasta, usePasta } from "./harness/pasta.ts"
import { ipv4, ipv6, overBoth, useTopology } from "./harness/topology.ts"

const topology = useTopology()
useNameServer(topology)
testResolution(usePasta(topology))

describe("--dns-forward", () => {
  /** Runs pasta with a resolver configuration of ours on the host. */
  const ask = async (
    options: readonly string[],
    address: string,
    nameServers: readonly string[],
    ...argv: string[]
  ) => {
    const file = fileFor("resolv.conf")
    writeFileSync(file, nameServers.map((name) => `nameserver ${name}\n`).join(""))
    const script = 'mount --bind "$1" /etc/resolv.conf; shift; exec "$@"'
    const command = [...dig, `@${address}`, ...argv, "who.example", "TXT"]
    const { stdout, stderr } = await runPasta(
      topology.host,
      ["--config-net", ...options, "--", ...command],
      "ordinary",
      {
        before: ["unshare", "--mount", "sh", "-euc", script, "sh", file],
      },
    )
    return stdout + stderr
  }

  overBoth((family) => {
    const address = family.version === 4 ? "192.0.2.53" : "2001:db8:1::53"

    testWith("dig", "unshare")("goes to the name server of --dns-host, over UDP and TCP", async () => {
      const options = ["--dns-forward", address, "--dns-host", family.other]
      const asked = `"${family.other} ${family.host}"\n`
      expect(await ask(options, address, [])).toBe(asked)
      expect(await ask(options, address, [], "+tcp")).toBe(asked)
    })

    testWith("dig", "unshare")("goes to the first name server of the host by default", async () => {
      const servers = [family.other, family.server]
      expect(await ask(["--dns-forward", address], address, servers)).toBe(`"${family.other} ${family.host}"\n`)
    })

    testWith("dig", "unshare")("is implied for a gateway that is the host's resolver", async () => {
      expect(await ask([], family.gateway, [family.gateway])).toBe(`"${family.gateway} ${family.host}"\n`)
    })
  })

  testWith("dig", "unshare")("leads to a link-local name server, on the interface that its zone names", async () => {
    await topology.host.configure([`link add eth7 index 77 type veth peer name eth7 netns ${topology.world.name}`])
    for (const end of [topology.host, topology.world]) await end.configure(["link set eth7 up"])
    await topology.world.configure(["addr add fe80::53/64 dev eth7 nodad"])
    const server = topology.world.startNode("dns-server.mjs", { listen: ["fe80::53%eth7"] })
    await server.printed(/ready/)
    const asked = '"fe80::53%eth7 fe80::'
    expect(await ask(["--dns-forward", "2001:db8:1::53"], "2001:db8:1::53", ["fe80::53%77"])).toContain(asked)
    // Without the option, the gateway stands for the name server.
    expect(await ask([], ipv6.gateway, ["fe80::53%77"], "+tcp")).toContain(asked)
    await server.stop()
    await topology.host.configure(["link delete eth7"])
  })

  testWith("dig", "unshare")("leaves other ports alone", async () => {
    const options = ["--dns-forward", "192.0.2.53", "--dns-host", ipv4.other]
    expect(await ask(options, "192.0.2.53", [], "-p", "5353", "+tries=1", "+time=1")).not.toContain(ipv4.other)
  })
})
