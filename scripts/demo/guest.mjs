// The command that pasta runs in the demo: inspects the network from inside, and uses it.
import { spawnSync } from "node:child_process"
import { Resolver } from "node:dns/promises"
import { get } from "node:http"
import { delimiter } from "node:path"
import { Arena } from "@demiflow/core"
import { attachArena, NetlinkSocket, readNetwork } from "@demiflow/sys"
import { gateway, NAME, PORT, path, server } from "./network.mjs"
import { fact, failure, leftOut, success } from "./print.mjs"

const BYTES = Number(process.argv[2] ?? 500) * 1e6
let failed = 0

// Not every PATH contains the folders of administration tools.
process.env.PATH = [process.env.PATH, "/usr/sbin", "/sbin"].filter(Boolean).join(delimiter)

/** Runs a step, which returns the text to show. */
async function step(label, body) {
  try {
    success(label, ...(await body()))
  } catch (error) {
    failed++
    failure(label, error.message.split("\n")[0])
  }
}

function showNetwork() {
  const arena = new Arena(1 << 18)
  const { interfaces, addresses, routes } = readNetwork(new NetlinkSocket(attachArena(arena), arena))
  for (const { index, name, mtu, isUp, isLoopback } of interfaces) {
    if (isLoopback || !isUp) continue
    const visible = addresses
      .filter(({ interfaceIndex, scope }) => interfaceIndex === index && scope === 0)
      .map(({ address, prefixLength }) => `${address}/${prefixLength}`)
    if (visible.length === 0) throw new Error(`${name} has no address`)
    fact("Address", `${name}, MTU ${mtu}`, ...visible)
  }
  for (const { prefix, prefixLength, nextHops } of routes) {
    if (prefix?.isLinkLocal) continue
    const [hop] = nextHops
    const to = prefix === undefined ? "default" : `${prefix}/${prefixLength}`
    const on = interfaces.find(({ index }) => index === hop?.interfaceIndex)?.name
    fact("Route", to, hop?.gateway === undefined ? `on ${on}` : `via ${hop.gateway}`)
  }
}

/** Downloads and measures. Returns the columns to show. */
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

/** Steps that use existing programs. */
const withPrograms = [
  { label: "Ping", program: "ping", show: ping },
  { label: "Trace", program: "traceroute", show: trace },
]
// If PATH has folders that only root may enter, the error differs from ENOENT.
const missing = withPrograms.filter(({ program }) => spawnSync(program, ["--version"]).error !== undefined)
for (const entry of withPrograms) {
  const { label, program, show } = entry
  if (missing.includes(entry)) leftOut(label, `${program} is not installed`)
  else for (const version of [4, 6]) await step(label, () => show(version))
}

const verdict = failed > 0 ? `${failed} of these failed.` : "Everything worked."
const rest = missing.length > 0 ? ` Left out: ${missing.map(({ label }) => label).join(", ")}.` : ""
process.stdout.write(`\n${verdict}${rest}\n\n`)
process.exit(failed === 0 ? 0 : 1)
