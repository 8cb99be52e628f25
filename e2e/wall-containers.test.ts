/** In containers, whose seccomp profiles refuse this and that: what of the wall holds, and that everything works. */
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { afterAll, beforeAll, describe, expect } from "vitest"
import { expectTraffic } from "./cases/traffic.ts"
import type { Identity } from "./harness/identity.ts"
import { isInstalled, passtExecutable, repository, sharedFolder, temporaryFolder, testWith } from "./harness/machine.ts"
import { container, image, Podman } from "./harness/podman.ts"
import { eventually, type Program } from "./harness/processes.ts"
import { useServer } from "./harness/servers.ts"
import { configureGuest, createGuest, StandIn } from "./harness/stand-in.ts"
import { useTopology } from "./harness/topology.ts"

const topology = useTopology()
useServer("tcp-server", topology)
useServer("udp-server", topology)

const tools = ["podman", "crun", "busybox"]
/** Podman's own. */
const PODMAN = "/usr/share/containers/seccomp.json"
const MOUNTS = ["mount", "pivot_root", "umount", "umount2"]
const NAMESPACES = [...MOUNTS, "clone3", "setns", "unshare"]

interface SeccompProfile {
  readonly syscalls: { names: string[] }[]
}

/** Podman's profile without some calls. */
function without(calls: readonly string[]): string {
  const profile = JSON.parse(readFileSync(PODMAN, "utf8")) as SeccompProfile
  for (const rule of profile.syscalls) rule.names = rule.names.filter((name) => !calls.includes(name))
  const path = join(temporaryFolder("seccomp"), "profile.json")
  writeFileSync(path, JSON.stringify(profile))
  return path
}

interface Grade {
  readonly where: string
  readonly as: Identity
  readonly options: () => readonly string[]
  readonly missing: Readonly<Record<string, string>>
}

const UNSHARE = { "namespaces of its own": "unshare", "an empty root": "unshare" }

const grades: readonly Grade[] = [
  {
    where: "of root's, not as root",
    as: "root",
    options: () => ["--security-opt", `seccomp=${PODMAN}`, "--user", "1000:1000"],
    missing: {},
  },
  { where: "of root's", as: "root", options: () => ["--security-opt", `seccomp=${PODMAN}`], missing: UNSHARE },
  {
    // As by Docker's profile.
    where: "without namespaces",
    as: "root",
    options: () => ["--security-opt", `seccomp=${without(NAMESPACES)}`, "--user", "1000:1000"],
    missing: UNSHARE,
  },
  {
    // Namespaces in which nobody has privileges: as on Ubuntu, for programs without a profile of AppArmor.
    where: "without mounts",
    as: "root",
    options: () => ["--security-opt", `seccomp=${without(MOUNTS)}`, "--user", "1000:1000"],
    missing: { "an empty root": "mount" },
  },
  {
    where: "of an ordinary user's",
    as: "ordinary",
    options: () => ["--security-opt", `seccomp=${PODMAN}`],
    missing: { ...UNSHARE, "no capabilities": "of the caller's" },
  },
  {
    // User 0 may be in a further user namespace with that privilege only.
    where: "without any privilege",
    as: "ordinary",
    options: () => ["--security-opt", `seccomp=${PODMAN}`, "--cap-drop", "all"],
    missing: { "namespaces of its own": "CAP_SETFCAP", "an empty root": "CAP_SETFCAP" },
  },
]

describe.each(grades)("in a container $where", ({ as, options, missing }) => {
  let podman: Podman | undefined
  beforeAll(async () => {
    if (tools.every(isInstalled)) podman = await Podman.create(topology.host, as)
  })
  afterAll(() => podman?.end())

  /** passt in a container that has the programs of the machine. */
  function start(...argv: string[]): Program {
    if (podman === undefined) throw new Error("without Podman, no case runs")
    const node = dirname(dirname(process.execPath))
    const folders = [...new Set(["/usr", "/lib", "/lib64", repository, node])].filter(existsSync)
    const words = [
      ...container(as === "root" ? `ns:${topology.host.path}` : "host"),
      ...options(),
      ...["--env", `PATH=${node}/bin:/usr/bin:/bin`, "--volume", `${sharedFolder()}:${sharedFolder()}`],
      ...folders.flatMap((folder) => ["--volume", `${folder}:${folder}:ro`]),
    ]
    return podman.start("run", ...words, image, passtExecutable, ...argv)
  }

  testWith(...tools)("--print-sandbox says what holds, and why not the rest", async () => {
    const { status, stdout } = await start("--print-sandbox").result
    expect(status).toBe(0)
    for (const [, isThere, what, whyNot] of stdout.matchAll(/^(yes|no): ([^:\n]+)(?:: (.+))?$/gm)) {
      // A kernel need not have it.
      if (what === "Landlock") continue
      expect([what, isThere]).toEqual([what, what in missing ? "no" : "yes"])
      expect(whyNot ?? "").toContain(missing[what] ?? "")
    }
  })

  testWith(...tools)("packets move, as process 1, and the log says what holds", async () => {
    const socket = join(temporaryFolder("passt"), "socket")
    const passt = start("--foreground", "--debug", "--socket", socket)
    const [, line] = await passt.printed(/Sandbox: (.*)$/m, "stderr")
    await eventually("it listens", () => (existsSync(socket) ? true : undefined))
    const guest = await createGuest()
    const standIn = await StandIn.start(guest, socket, { unconfigured: true })
    await configureGuest(guest)
    await expectTraffic(guest)
    await standIn.stop()
    await guest.remove()
    await passt.stop()
    expect(line).toContain("filtered system calls")
    expect(line.includes("without an empty root")).toBe("an empty root" in missing)
  })
})
