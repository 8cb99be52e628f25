/** A link-local name server, in namespaces with a `resolv.conf` of their own. */
import { spawnSync } from "node:child_process"
import { mkdir, mkdtemp, rm } from "node:fs/promises"
import { join } from "node:path"
import { expect, test } from "vitest"
import { bundle } from "./bundle.fixture.mjs"

/** Below the repository, where the addon is found. */
const cache = join(import.meta.dirname, "../../../node_modules/.cache")

const SETUP = [
  "ip link set lo up",
  "ip link add one0 index 77 type veth peer name one1",
  "ip link set one0 addrgenmode none && ip link set one0 up",
  "ip link set one1 addrgenmode none && ip link set one1 up",
  "ip addr add fe80::1/64 dev one0 nodad",
  "ip addr add fe80::2/64 dev one1 nodad",
]

const EXPECTED = `sys, : answered from fd9a:559a:559a:2::3
sys, nameServers: answered from fd9a:559a:559a:2::3
node, : answered from fd9a:559a:559a:2::3
node, nameServers: answered from fd9a:559a:559a:2::3
ERR_GATEWAY_OPTION nameServers[0] is fe80::2%nosuch0: the host must have an interface of that name, with IPv6
ERR_GATEWAY_OPTION nameServers[0] is fe80::2%one0%junk: the host must have an interface of that name, with IPv6
`

test("a link-local name server answers the guest", async () => {
  await mkdir(cache, { recursive: true })
  const folder = await mkdtemp(join(cache, "gateway-zones-"))
  const program = await bundle("zones", join(import.meta.dirname, "zones.fixture.ts"), folder)
  const resolver = `echo 'nameserver fe80::2%77' > ${folder}/resolv.conf`
  const mount = `mount --bind ${folder}/resolv.conf "$(readlink -f /etc/resolv.conf)"`
  const script = [...SETUP, resolver, mount, `exec ${process.execPath} ${program}`].join(" && ")
  const options = { encoding: "utf8", timeout: 100_000 } as const
  const { stdout, stderr } = spawnSync(
    "unshare",
    ["--user", "--map-root-user", "--net", "--mount", "sh", "-c", script],
    options,
  )
  await rm(folder, { recursive: true })
  expect(stdout + stderr).toBe(EXPECTED)
})
