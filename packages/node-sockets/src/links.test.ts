/** Link-local correspondents, and addresses of an interface that is down, in a network namespace. */
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { build } from "tsup"
import { expect, test } from "vitest"

const SETUP = [
  "ip link set lo up",
  ...["one", "two"].flatMap((link) => [
    `ip link add ${link}0 type veth peer name ${link}1`,
    ...[0, 1].map((end) => `ip link set ${link}${end} addrgenmode none && ip link set ${link}${end} up`),
  ]),
  "ip addr add fe80::1/64 dev one0 nodad",
  "ip addr add fe80::2/64 dev one1 nodad",
  "ip addr add fe80::3/64 dev two0 nodad",
  "ip addr add fe80::4/64 dev two1 nodad",
  "ip link add down0 type veth peer name down1",
  "ip addr add 192.0.2.9/24 dev down0",
  "ip addr add 2001:db8:9::9/64 dev down0 nodad",
]

const EXPECTED = `bound fe80::2 usual
opened fe80::2 usual
by one fe80::2 usual
an answer from fe80::1%one1
by two fe80::4 other
an answer from fe80::3%two1
connected to fe80::2
connected from outside to fe80::1
and datagrams
connected from outside to 192.0.2.9
and datagrams
connected from outside to 2001:db8:9::9
and datagrams
-99 -99
-99 -99
`

test("links are distinguished, and the kernel decides which addresses are the host's", async () => {
  const folder = mkdtempSync(join(tmpdir(), "node-sockets-links-"))
  await build({
    config: false,
    entry: { links: join(import.meta.dirname, "links.fixture.ts") },
    format: "esm",
    platform: "node",
    noExternal: [/./],
    outDir: folder,
    outExtension: () => ({ js: ".mjs" }),
    silent: true,
    esbuildOptions(settings) {
      settings.conditions = ["@demiflow/source"]
    },
  })
  const program = `exec ${process.execPath} ${join(folder, "links.mjs")}`
  const { stdout, stderr } = spawnSync(
    "unshare",
    ["--user", "--map-root-user", "--net", "sh", "-c", [...SETUP, program].join(" && ")],
    {
      encoding: "utf8",
      timeout: 100_000,
    },
  )
  rmSync(folder, { recursive: true })
  expect(stdout + stderr).toBe(EXPECTED)
})
