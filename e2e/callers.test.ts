/** Programs that create a namespace themselves and call pasta to connect it, each in its own way. */
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { dig, useNameServer } from "./cases/names.ts"
import { connect, type Entered, endPasta, hasEnded, hashFrom, isRunning, unshared } from "./harness/callers.ts"
import { Namespace, type Place } from "./harness/places.ts"
import { eventually, mustRun, type Program } from "./harness/processes.ts"
import { type Family, families, inUrl, ipv4, overBoth, useTopology } from "./harness/topology.ts"
import { hashOf } from "./programs/pattern.mjs"

const topology = useTopology()
useNameServer(topology)

const WEB_PORT = 8080
/** A port of the host that leads to the web server of the namespace. */
const FORWARDED_PORT = 8081
const BYTES = 3_000_000
const path = `/bytes/${BYTES}`
const hash = hashOf(1, BYTES)

/** A web server; the caller ends it. */
async function startWebServer(place: Place, listen: readonly string[]): Promise<Program> {
  const request = { listen, port: WEB_PORT, folder: "/usr/share" }
  const server = place.startNode("http-server.mjs", request)
  await server.printed(/ready/)
  return server
}

let webServer: Program
beforeAll(async () => {
  const listen = families.map((family) => family.server)
  webServer = await startWebServer(topology.world, listen)
})
afterAll(() => webServer?.stop())

async function testFromGuest(place: Place, family: Family): Promise<void> {
  expect(await hashFrom(place, `http://${inUrl(family.server)}:${WEB_PORT}${path}`)).toBe(hash)
  await place.must(["ping", "-c", "2", "-i", "0.2", "-W", "10", family.server])
  for (const transport of ["+notcp", "+tcp"]) {
    const answer = await place.must([...dig, transport, `@${family.server}`, "host.example", "A"])
    expect(answer).toBe("198.51.100.7\n")
  }
}

/** A typical use of a connected namespace. */
function testConnected(place: () => Place): void {
  overBoth((family) => {
    test("curl, ping and dig reach the world", () => testFromGuest(place(), family))

    test("a forwarded port leads in from the host and from the world", async () => {
      const server = await startWebServer(place(), ["::"])
      expect(await hashFrom(topology.host, `http://${inUrl(family.loopback)}:${FORWARDED_PORT}${path}`)).toBe(hash)
      expect(await hashFrom(topology.host, `http://${inUrl(family.host)}:${FORWARDED_PORT}${path}`)).toBe(hash)
      expect(await hashFrom(topology.world, `http://${inUrl(family.host)}:${FORWARDED_PORT}${path}`)).toBe(hash)
      await server.stop()
    })
  })
}

const forward = ["-t", `${FORWARDED_PORT}:${WEB_PORT}`]

describe("unshare as an ordinary user, and its process number", () => {
  let caller: Awaited<ReturnType<typeof unshared>>
  let pasta: number
  beforeAll(async () => {
    caller = await unshared(topology)
    pasta = await connect(topology, ["--config-net", ...forward, String(caller.place.pid)])
  })
  afterAll(() => {
    endPasta(pasta)
    caller?.program.kill()
  })

  testConnected(() => caller.place)

  test("ends with the process", async () => {
    expect(isRunning(pasta)).toBe(true)
    caller.program.closeInput()
    await hasEnded(pasta)
  })
})

describe("ip netns add as root, and its name", () => {
  const namespace = new Namespace(`${topology.name}-named`)
  let pasta: number
  beforeAll(async () => {
    await namespace.create()
    pasta = await connect(topology, ["--config-net", ...forward, "--netns", namespace.name], "root")
  })
  afterAll(async () => {
    endPasta(pasta)
    await namespace.remove()
  })

  testConnected(() => namespace)

  test("ends when the name is deleted", async () => {
    expect(isRunning(pasta)).toBe(true)
    await mustRun(["ip", "netns", "del", namespace.name])
    await hasEnded(pasta)
  })
})

/** RootlessKit 2 with `--net=pasta --disable-host-loopback`; Debian 12 has an older one, without pasta. */
describe.each([
  ["a process number", (caller: Entered) => [String(caller.pid)]],
  ["paths", ({ pid, path }: Entered) => [`--userns=/proc/${pid}/ns/user`, `--netns=${path}`]],
])("RootlessKit, with %s", (_which, where) => {
  const argumentsOfRootlessKit = [
    ...["--stderr", "--ns-ifname=tap0", "--mtu=65520", "--config-net", "--address=10.0.2.100", "--netmask=24"],
    ...["--gateway=10.0.2.2", "--dns-forward=10.0.2.3", "--no-map-gw", "--ipv4-only"],
    ...["--tcp-ports=auto", "--udp-ports=auto"],
  ]
  let caller: Awaited<ReturnType<typeof unshared>>
  let pasta: number
  beforeAll(async () => {
    caller = await unshared(topology)
    pasta = await connect(topology, [...argumentsOfRootlessKit, ...where(caller.place)])
  })
  afterAll(() => {
    endPasta(pasta)
    caller?.program.kill()
  })

  test("the interface is as it was ordered", async () => {
    const [link] = await caller.place.json<{ mtu: number; addr_info: { local: string; prefixlen: number }[] }[]>(
      "ip -json -4 addr show dev tap0".split(" "),
    )
    expect(link).toMatchObject({ mtu: 65520, addr_info: [{ local: "10.0.2.100", prefixlen: 24 }] })
    expect(await caller.place.must("ip -4 route show default".split(" "))).toMatch(/^default via 10\.0\.2\.2 dev tap0/)
  })

  test("curl, ping and dig reach the world over IPv4", () => testFromGuest(caller.place, ipv4))

  test("a port that is bound in there is reached from the host", async () => {
    const server = await startWebServer(caller.place, ["0.0.0.0"])
    const url = `http://127.0.0.1:${WEB_PORT}`
    await eventually("the port is forwarded", async () => {
      const { status } = await topology.host.run(["curl", "--silent", "--output", "/dev/null", `${url}/bytes/1`])
      return status === 0 ? true : undefined
    })
    expect(await hashFrom(topology.host, `${url}${path}`)).toBe(hash)
    await server.stop()
  })

  test("ends with the process", async () => {
    expect(isRunning(pasta)).toBe(true)
    caller.program.closeInput()
    await hasEnded(pasta)
  })
})
