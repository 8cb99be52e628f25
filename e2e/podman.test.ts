/** A container of Podman in a network namespace that pasta has connected, called the way Podman calls it. */
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect } from "vitest"
import { connect, endPasta, hasEnded, hashFrom, isRunning } from "./harness/callers.ts"
import { isInstalled, testWith } from "./harness/machine.ts"
import { Namespace } from "./harness/places.ts"
import { container, image, Podman, servedHash } from "./harness/podman.ts"
import { mustRun, type Program } from "./harness/processes.ts"
import { families, inUrl, ipv4, useTopology } from "./harness/topology.ts"
import { hashOf } from "./programs/pattern.mjs"

const topology = useTopology()

const PUBLISHED_PORT = 8080
const WEB_PORT = 8081
const BYTES = 3_000_000

const tools = ["podman", "crun", "busybox"]
const installed = tools.every(isInstalled)
const testWithPodman = testWith(...tools)

/** Podman's arguments to pasta, for `podman run --publish 127.0.0.1:8080:80`. */
const argumentsOfPodman = (path: string): readonly string[] => [
  ...["--config-net", "-t", `127.0.0.1/${PUBLISHED_PORT}-${PUBLISHED_PORT}:80-80`, "--dns-forward", "169.254.1.1"],
  ...["-u", "none", "-T", "none", "-U", "none", "--no-map-gw", "--quiet", "--netns", path],
  ...["--map-guest-addr", "169.254.1.2"],
]

/** Serves its file on port 80, and carries out its input, line by line. */
const work = 'httpd -h /www; echo serving; while read -r line; do sh -c "$line"; echo "status $?"; done'

const startContainer = (podman: Podman, path: string): Program =>
  podman.start("run", ...container(`ns:${path}`), image, "sh", "-c", work)

/** Differences between the users of Podman. */
interface User {
  /** The process of pasta that stays. */
  readonly pasta: number
  readonly container: Program
  /** Removes the network namespace, as Podman does after its container. */
  removeNamespace(): Promise<void>
  end(): Promise<void>
}

/** Started as root, which pasta gives up. */
async function byRoot(): Promise<User> {
  const namespace = new Namespace(`${topology.name}-container`)
  await namespace.create()
  const podman = await Podman.create(topology.host, "root")
  return {
    pasta: await connect(topology, argumentsOfPodman(namespace.path), "root"),
    container: startContainer(podman, namespace.path),
    removeNamespace: async () => void (await mustRun(["ip", "netns", "del", namespace.name])),
    end: () => namespace.remove(),
  }
}

/** As user 0 of the user namespace of `podman unshare`, which pasta stays. */
async function inUnshare(): Promise<User> {
  const podman = await Podman.create(topology.host, "ordinary")
  const path = join(podman.folder, "netns")
  const unshare = podman.start("unshare", "sh", "-c", "echo $$; exec cat")
  const [, pid = ""] = await unshare.printed(/^(\d+)$/m)
  const enter = ["nsenter", "--target", pid, "--user", "--mount", "--"]
  const inside = (argv: readonly string[]) => [...topology.host.prefix(), ...enter, ...argv]
  await mustRun(inside(["sh", "-euc", 'touch "$0"; unshare --net="$0" true', path]))
  return {
    pasta: await connect(topology, argumentsOfPodman(path), "root", { before: enter }),
    // Podman goes into the namespaces of `podman unshare` by itself.
    container: startContainer(podman, path),
    removeNamespace: async () => void (await mustRun(inside(["sh", "-euc", 'umount "$0"; rm "$0"', path]))),
    async end() {
      unshare.closeInput()
      await unshare.result
      podman.end()
    },
  }
}

let web: readonly Program[] = []
beforeAll(async () => {
  const start = (place: Namespace, listen: readonly string[]) =>
    place.startNode("http-server.mjs", { listen, port: WEB_PORT, folder: "/usr/share" })
  const servers = families.map(({ server }) => server)
  web = [start(topology.world, servers), start(topology.host, [ipv4.host])]
  for (const server of web) await server.printed(/ready/)
})
afterAll(() => {
  for (const server of web) server.kill()
})

describe.each([
  ["root", byRoot],
  ["an ordinary user, in podman unshare", inUnshare],
])("a container of %s", (_whose, begin) => {
  let user: User
  beforeAll(async () => {
    if (!installed) return
    user = await begin()
    await user.container.printed(/^serving$/m)
  })
  afterAll(async () => {
    endPasta(user?.pasta)
    user?.container.kill()
    await user?.end()
  })

  /** Downloads in the container. Returns the SHA-256 of the data. */
  let downloads = 0
  async function download(address: string): Promise<string> {
    user.container.write(`wget -q -O - http://${inUrl(address)}:${WEB_PORT}/bytes/${BYTES} | sha256sum\n`)
    const answers = new RegExp(`(?:([0-9a-f]{64})  -\\s+status 0\\s+){${++downloads}}`)
    const [, hash = ""] = await user.container.printed(answers)
    return hash
  }

  testWithPodman("serves on the published address and port, and no other", async () => {
    expect(await hashFrom(topology.host, `http://127.0.0.1:${PUBLISHED_PORT}/data`)).toBe(servedHash)
    const elsewhere = ["curl", "--silent", `http://${ipv4.host}:${PUBLISHED_PORT}/data`]
    expect(await topology.world.run(elsewhere)).toMatchObject({ status: 7 })
  })

  for (const { name, server } of families) {
    testWithPodman(`downloads from the world over ${name}`, async () => {
      expect(await download(server)).toBe(hashOf(1, BYTES))
    })
  }

  testWithPodman("reaches the host by the address that stands for it", async () => {
    expect(await download("169.254.1.2")).toBe(hashOf(1, BYTES))
  })

  testWithPodman("pasta ends with its network namespace", async () => {
    user.container.closeInput()
    expect(await user.container.result).toMatchObject({ status: 0 })
    expect(isRunning(user.pasta)).toBe(true)
    await user.removeNamespace()
    await hasEnded(user.pasta)
  })
})
