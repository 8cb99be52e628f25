/** Those who make a namespace themselves and call pasta to connect it, each in its own way. */
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { dig, useNameServer } from "./cases/names.ts"
import { connect, endPasta, hasEnded, hashFrom, isRunning, unshared } from "./harness/callers.ts"
import { Namespace, type Place } from "./harness/places.ts"
import { mustRun, type Program } from "./harness/processes.ts"
import { families, inUrl, overBoth, useTopology } from "./harness/topology.ts"
import { hashOf } from "./programs/pattern.mjs"

const topology = useTopology()
useNameServer(topology)

const WEB_PORT = 8080
/** Of the host; leads to the web server of the namespace. */
const FORWARDED_PORT = 8081
const BYTES = 3_000_000
const path = `/bytes/${BYTES}`
const hash = hashOf(1, BYTES)

/** A web server; the caller ends it. */
async function startWebServer(place: Place, listen: readonly string[]): Promise<Program> {
  const request = { listen, port: WEB_PORT, folder: "/usr/share" }
  const server = place.startNode("http-server.mjs", request, { timeout: 500_000 })
  await server.printed(/ready/)
  return server
}

let webServer: Program
beforeAll(async () => {
  const listen = families.map((family) => family.server)
  webServer = await startWebServer(topology.world, listen)
})
afterAll(() => webServer?.stop())

/** What somebody connects a namespace for. */
function testConnected(place: () => Place): void {
  overBoth((family) => {
    test("curl, ping and dig reach the world", async () => {
      expect(await hashFrom(place(), `http://${inUrl(family.server)}:${WEB_PORT}${path}`)).toBe(hash)
      await place().must(["ping", "-c", "2", "-i", "0.2", "-W", "10", family.server])
      expect(await place().must([...dig, `@${family.server}`, "host.example", "A"])).toBe("198.51.100.7\n")
      expect(await place().must([...dig, "+tcp", `@${family.server}`, "host.example", "A"])).toBe("198.51.100.7\n")
    })

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
