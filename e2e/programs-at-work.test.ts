/** Common programs: curl, git, iperf3, netcat, socat. */
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { afterAll, beforeAll, expect } from "vitest"
import { temporaryFolder, testWith } from "./harness/machine.ts"
import { runPasta, usePasta } from "./harness/pasta.ts"
import { mustRun, type Program } from "./harness/processes.ts"
import { families, inUrl, overBoth, useTopology } from "./harness/topology.ts"

const topology = useTopology()
const running = usePasta(topology)
const PORT = 8080
let server: Program
let folder: string

beforeAll(async () => {
  folder = temporaryFolder("web")
  const listen = families.map((family) => family.server)
  server = topology.world.startNode("http-server.mjs", { listen, port: PORT, folder })
  await server.printed(/ready/)
})
afterAll(() => server?.stop())

overBoth((family) => {
  const url = (path: string) => `http://${inUrl(family.server)}:${PORT}${path}`

  testWith("curl")("curl downloads, as the command of pasta itself", async () => {
    const file = `${temporaryFolder("curl")}/big`
    const command = ["curl", "--silent", "--show-error", "--output", file, url("/bytes/50000000")]
    const { status, stderr } = await runPasta(topology.host, ["--config-net", "--", ...command])
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" })
    const hash = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex")
    const reference = `${file}.reference`
    await topology.world.must(["curl", "--silent", "--output", reference, url("/bytes/50000000")])
    expect(hash(file)).toBe(hash(reference))
  })

  testWith("git")("git clones", async () => {
    const git = [
      "git",
      "-c",
      "user.name=nobody",
      "-c",
      "user.email=nobody@example.org",
      "-c",
      "init.defaultBranch=main",
    ]
    const name = `origin-${family.version}`
    const work = `${folder}/${name}`
    await mustRun([...git, "init", "--quiet", work])
    for (let i = 0; i < 3; i++) await mustRun([...git, "-C", work, "commit", "--quiet", "--allow-empty", "-m", `${i}`])
    await mustRun([...git, "clone", "--quiet", "--bare", work, `${work}.git`])
    await mustRun([...git, "-C", `${work}.git`, "update-server-info"])
    const target = `${temporaryFolder("clone")}/clone`
    await running.guest.must(["git", "clone", "--quiet", url(`/${name}.git`), target])
    const head = (path: string) => mustRun(["git", "-c", "safe.directory=*", "-C", path, "rev-parse", "HEAD"])
    expect(await head(target)).toBe(await head(work))
  })

  testWith("iperf3")("iperf3 measures in both directions, and over UDP", async () => {
    const iperf = topology.world.start(["iperf3", "--server", "--bind", family.server, "--forceflush"])
    await iperf.printed(/Server listening/)
    for (const options of [[], ["--reverse"], ["--udp", "--bitrate", "10M"]]) {
      const argv = ["iperf3", "--client", family.server, "--time", "1", "--json", ...options]
      const { end } = await running.guest.json<{ end: Record<string, { bytes: number }> }>(argv)
      expect((end.sum_received ?? end.sum)?.bytes).toBeGreaterThan(100_000)
    }
    await iperf.stop()
  })

  testWith("nc", "socat")("netcat and socat exchange lines", async () => {
    const listen = `TCP${family.version}-LISTEN:7777,bind=${inUrl(family.server)},reuseaddr`
    const socat = topology.world.start(["socat", "-d", "-d", listen, "SYSTEM:cat"])
    await socat.printed(/listening on/, "stderr")
    const { stdout } = await running.guest.run(["nc", "-N", family.server, "7777"], { input: "hello\n" })
    expect(stdout).toBe("hello\n")
    await socat.result
  })
})
