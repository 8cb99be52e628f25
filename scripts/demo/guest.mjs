// The command that pasta runs in the demo: looks at the network from inside, and uses it.
import { execFileSync, spawnSync } from "node:child_process"
import { Resolver } from "node:dns/promises"
import { get } from "node:http"
import { gateway, NAME, PORT, path, server } from "./network.mjs"
import { fact, failure, success } from "./print.mjs"

const BYTES = 500_000_000
let failed = 0

/** Runs a step, which gives what to show of it. */
async function step(label, body) {
  try {
    success(label, ...(await body()))
  } catch (error) {
    failed++
    failure(label, error.message.split("\n")[0])
  }
}

const ip = (...argv) => JSON.parse(execFileSync("ip", ["-j", ...argv], { encoding: "utf8" }) || "[]")

function showNetwork() {
  for (const { ifname, mtu, addr_info: addresses } of ip("addr", "show", "up")) {
    if (ifname === "lo") continue
    const visible = addresses
      .filter(({ scope }) => scope === "global")
      .map(({ local, prefixlen }) => `${local}/${prefixlen}`)
    if (visible.length === 0) throw new Error(`${ifname} has no address`)
    fact("Address", `${ifname}, MTU ${mtu}`, ...visible)
  }
  for (const version of ["-4", "-6"]) {
    const routes = ip(version, "route").filter(({ dst }) => !dst.startsWith("fe80:"))
    for (const { dst, gateway: via, dev } of routes) fact("Route", dst, via === undefined ? `on ${dev}` : `via ${via}`)
  }
}

/** Downloads and measures; gives the columns to show. */
function download(version) {
  return new Promise((resolve, reject) => {
    const start = performance.now()
    const request = get({ host: server[version], port: PORT, path: path(BYTES) }, (response) => {
      let bytes = 0
      response.on("data", (piece) => {
        bytes += piece.length
      })
      response.on("error", reject)
      response.on("end", () => {
        const seconds = (performance.now() - start) / 1000
        if (bytes !== BYTES) reject(new Error(`${bytes} bytes instead of ${BYTES}`))
        else
          resolve([
            `TCP, IPv${version}`,
            `${BYTES / 1e6} MB in ${seconds.toFixed(2)} s`,
            `${((bytes * 8) / seconds / 1e9).toFixed(1)} Gb/s`,
          ])
      })
    })
    request.on("error", reject)
  })
}

async function resolve() {
  const resolver = new Resolver({ timeout: 5000, tries: 2 })
  resolver.setServers([server[4]])
  return [NAME, "→", ...(await resolver.resolve4(NAME)), ...(await resolver.resolve6(NAME))]
}

function ping(version) {
  const { stdout, status } = spawnSync("ping", ["-n", "-c", "3", "-i", "0.2", "-W", "5", server[version]], {
    encoding: "utf8",
  })
  const [, average] = /= [\d.]+\/([\d.]+)\//.exec(stdout) ?? []
  if (status !== 0 || average === undefined) throw new Error(`no answer from ${server[version]}`)
  return [`IPv${version}`, server[version], `${average} ms`]
}

function trace(version) {
  const argv = [`-${version}`, "-n", "-q", "1", "-w", "5", "-m", "5", server[version]]
  const { stdout } = spawnSync("traceroute", argv, { encoding: "utf8" })
  const hops = [...stdout.matchAll(/^ *\d+ +(\S+)/gm)].map(([, hop]) => hop)
  if (hops.join() !== [gateway[version], server[version]].join())
    throw new Error(`seen: ${hops.join(" → ") || "nothing"}`)
  return [`IPv${version}`, hops.join(" → ")]
}

try {
  showNetwork()
} catch (error) {
  failed++
  failure("Address", error.message)
}
for (const version of [4, 6]) await step("Download", () => download(version))
await step("Name", resolve)
for (const version of [4, 6]) await step("Ping", () => ping(version))
for (const version of [4, 6]) await step("Trace", () => trace(version))
process.stdout.write(failed === 0 ? "\nEverything worked.\n\n" : `\n${failed} of these failed.\n\n`)
process.exit(failed === 0 ? 0 : 1)
