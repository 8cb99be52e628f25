/** The source addresses and interfaces of the host's sockets: -o, --outbound-if4, --outbound-if6. */
import { beforeAll, describe, expect, test } from "vitest"
import { testWith } from "./harness/machine.ts"
import { Pasta } from "./harness/pasta.ts"
import { TCP_PORT, tcpClient, udpClient, useServer } from "./harness/servers.ts"
import { overBoth, useTopology } from "./harness/topology.ts"

const topology = useTopology()
useServer("tcp-server", topology)
useServer("udp-server", topology)

const second = { 4: "192.0.2.3", 6: "2001:db8:1::3" }
/** The host's address on another interface, which also leads to the world, but is never preferred. */
const elsewhere = { 4: "203.0.113.10", 6: "2001:db8:3::10" }

beforeAll(async () => {
  await topology.host.configure([
    "addr add 192.0.2.3/24 dev eth0",
    // Deprecated: the kernel doesn't choose it by itself.
    "addr add 2001:db8:1::3/64 dev eth0 nodad preferred_lft 0",
    `link add eth1 type veth peer name eth1 netns ${topology.world.name}`,
    "link set eth1 up",
    "addr add 203.0.113.10/24 dev eth1",
    "addr add 2001:db8:3::10/64 dev eth1 nodad",
  ])
  await topology.world.configure([
    "link set eth1 up",
    "addr add 203.0.113.9/24 dev eth1",
    "addr add 2001:db8:3::9/64 dev eth1 nodad",
  ])
  await topology.host.configure([
    "route add default via 203.0.113.9 dev eth1 metric 9000",
    "route add default via 2001:db8:3::9 dev eth1 metric 9000",
  ])
})

overBoth((family) => {
  /** The source addresses that the world sees, over TCP and UDP. */
  async function sources(...options: string[]): Promise<{ tcp: string | undefined; udp: string }> {
    const pasta = await Pasta.start(topology, { options: ["--config-net", ...options] })
    try {
      const request = { scenario: "who" }
      const { answers } = await tcpClient<{ answers: { remoteAddress: string }[] }>(pasta.guest, family, request)
      const { address } = await udpClient<{ address: string }>(pasta.guest, family, request)
      return { tcp: answers[0]?.remoteAddress, udp: address }
    } finally {
      await pasta.stop()
    }
  }

  test("by default, the routes of the host decide", async () => {
    expect(await sources()).toEqual({ tcp: family.host, udp: family.host })
  })

  test("-o binds to an address of the host", async () => {
    const address = second[family.version]
    expect(await sources("-o", address)).toEqual({ tcp: address, udp: address })
  })

  testWith("python3")("a port that the guest's program has chosen is the same to two correspondents", async () => {
    const script = `import socket,sys
streams = []
for server in sys.argv[1:]:
    s = socket.socket(socket.AF_INET${family.version === 4 ? "" : "6"})
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("", 20000)); s.connect((server, ${TCP_PORT})); s.sendall(b"who\\n")
    streams.append(s)
print("[%s]" % ",".join(s.makefile().read() for s in streams))`
    const pasta = await Pasta.start(topology)
    const argv = ["/usr/bin/python3", "-c", script, family.server, family.other]
    const answers: { remoteAddress: string; remotePort: number }[] = JSON.parse(await pasta.guest.must(argv))
    await pasta.stop()
    const seen = { remoteAddress: family.host, remotePort: 20_000 }
    expect(answers).toMatchObject([
      { ...seen, localAddress: family.server },
      { ...seen, localAddress: family.other },
    ])
  })

  testWith("python3")("-o with an address that the host lacks says so, and the guest is refused at once", async () => {
    const missing = family.version === 4 ? "192.0.2.99" : "2001:db8:1::99"
    const pasta = await Pasta.start(topology, { options: ["--config-net", "-o", missing] })
    expect(pasta.program.stderr).toContain(`Outbound address ${missing} is on none of the host's interfaces`)
    const script = `import socket,sys
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    s = socket.socket(socket.AF_INET${family.version === 4 ? "" : "6"}, kind)
    try:
        s.connect((sys.argv[1], 7)); s.send(b"x"); s.recv(1)
    except OSError as e: print(e.strerror)`
    const answers = await pasta.guest.must(["/usr/bin/python3", "-c", script, family.server])
    const answer = family.version === 4 ? "No route to host" : "Permission denied"
    expect(answers).toBe(`${answer}\n${answer}\n`)
    await pasta.stop()
  })

  describe(`--outbound-if${family.version}`, () => {
    test("binds to an interface, and takes the guest's address from it", async () => {
      const address = elsewhere[family.version]
      expect(await sources(`--outbound-if${family.version}`, "eth1")).toEqual({ tcp: address, udp: address })
    })

    test("leaves the guest's address to -i, if given", async () => {
      const pasta = await Pasta.start(topology, {
        options: ["--config-net", `--outbound-if${family.version}`, "eth1", "-i", "eth0"],
      })
      const addresses = await pasta.guest.must(["ip", "-br", `-${family.version}`, "addr", "show", "eth0"])
      await pasta.stop()
      expect(addresses).toContain(`${family.host}/${family.prefixLength}`)
    })
  })
})
