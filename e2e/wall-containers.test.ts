/** In containers, whose seccomp profiles refuse some calls: which parts of the wall hold, and that everything works. */
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { afterAll, beforeAll, describe, expect } from "vitest"
import { expectParts } from "./cases/sandbox.ts"
import { expectTraffic } from "./cases/traffic.ts"
import type { Identity } from "./harness/identity.ts"
import {
  isInstalled,
  passtExecutable,
  pastaExecutable,
  repository,
  sharedFolder,
  temporaryFolder,
  testWith,
} from "./harness/machine.ts"
import { container, image, Podman } from "./harness/podman.ts"
import { eventually, type Program } from "./harness/processes.ts"
import { TCP_PORT, useServer } from "./harness/servers.ts"
import { configureGuest, createGuest, StandIn } from "./harness/stand-in.ts"
import { ipv4, useTopology } from "./harness/topology.ts"

const topology = useTopology()
useServer("tcp-server", topology)
useServer("udp-server", topology)

const tools = ["podman", "crun", "busybox"]
/** Podman's own. */
const PODMAN = "/usr/share/containers/seccomp.json"
const MOUNTS = ["mount", "pivot_root", "umount", "umount2"]
/** Docker's. */
const DOCKER = join(import.meta.dirname, "docker/seccomp.json")

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
  /** "connects", or a part of the last line. */
  readonly pasta: string
}

const UNSHARE = { "namespaces of its own": "unshare", "an empty root": "unshare" }

const grades: readonly Grade[] = [
  {
    where: "of root's, not as root",
    as: "root",
    options: () => ["--security-opt", `seccomp=${PODMAN}`, "--user", "1000:1000"],
    missing: {},
    pasta: "connects",
  },
  {
    where: "of root's",
    as: "root",
    options: () => ["--security-opt", `seccomp=${PODMAN}`],
    missing: UNSHARE,
    pasta: "connects",
  },
  {
    where: "with Docker's profile, not as root",
    as: "root",
    options: () => ["--security-opt", `seccomp=${DOCKER}`, "--user", "1000:1000"],
    missing: UNSHARE,
    pasta: "Can't create a user namespace: operation not permitted (EPERM); this user may not create user namespaces",
  },
  {
    where: "with Docker's profile",
    as: "root",
    options: () => ["--security-opt", `seccomp=${DOCKER}`],
    missing: UNSHARE,
    pasta: "Can't create the namespaces: operation not permitted (EPERM); this user may not create user namespaces",
  },
  {
    where: "with Docker's profile, and the privilege to mount",
    as: "root",
    options: () => ["--security-opt", `seccomp=${DOCKER}`, "--cap-add", "sys_admin"],
    missing: { "an empty root": "pivotRoot: operation not permitted (EPERM): see the container's seccomp profile" },
    pasta: "connects",
  },
  {
    // Namespaces without privileges, as on Ubuntu for programs without an AppArmor profile.
    where: "without mounts",
    as: "root",
    options: () => ["--security-opt", `seccomp=${without(MOUNTS)}`, "--user", "1000:1000"],
    missing: { "an empty root": "mount" },
    pasta: "connects",
  },
  {
    where: "of an ordinary user's",
    as: "ordinary",
    options: () => ["--security-opt", `seccomp=${PODMAN}`],
    missing: { ...UNSHARE, "no capabilities": "of the caller's" },
    pasta: "connects",
  },
  {
    // User 0 may only be mapped into a further user namespace with that privilege.
    where: "without any privilege",
    as: "ordinary",
    options: () => ["--security-opt", `seccomp=${PODMAN}`, "--cap-drop", "all"],
    missing: { "namespaces of its own": "CAP_SETFCAP", "an empty root": "CAP_SETFCAP" },
    pasta: "CAP_SETFCAP",
  },
]

const connect = `python3 -c 'import socket; socket.create_connection(("${ipv4.server}", ${TCP_PORT}), 20); print("connected")'`

/** In a namespace of another process, which the container's user has made. */
const connectAnother = `
  unshare --user --map-root-user --net sleep 100 & holder=$!
  until [ "$(readlink /proc/$holder/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.1; done
  ${pastaExecutable} --quiet --config-net $holder
  nsenter --target $holder --user --preserve-credentials --net -- ${connect}
  kill $holder
`

describe.each(grades)("in a container $where", ({ as, options, missing, pasta }) => {
  let podman: Podman | undefined
  beforeAll(async () => {
    if (tools.every(isInstalled)) podman = await Podman.create(topology.host, as)
  })
  afterAll(() => podman?.end())

  /** Runs a command in a container that has the programs of the machine. */
  function start(...command: string[]): Program {
    if (podman === undefined) throw new Error("without Podman, no case runs")
    const node = dirname(dirname(process.execPath))
    const folders = [...new Set(["/usr", "/lib", "/lib64", repository, node])].filter(existsSync)
    const words = [
      ...container(as === "root" ? `ns:${topology.host.path}` : "host"),
      ...options(),
      ...["--env", `PATH=${node}/bin:/usr/bin:/bin`, "--volume", `${sharedFolder()}:${sharedFolder()}`],
      ...["--device", "/dev/net/tun"],
      ...folders.flatMap((folder) => ["--volume", `${folder}:${folder}:ro`]),
    ]
    return podman.start("run", ...words, image, ...command)
  }

  testWith(...tools)("--print-sandbox says what holds, and why not the rest", async () => {
    const { status, stdout } = await start(passtExecutable, "--print-sandbox").result
    expect(status).toBe(0)
    for (const [, isThere, what, whyNot] of stdout.matchAll(/^(yes|no): ([^:\n]+)(?:: (.+))?$/gm)) {
      // A kernel may lack it.
      if (what === "Landlock") continue
      expect([what, isThere]).toEqual([what, what in missing ? "no" : "yes"])
      expect(whyNot ?? "").toContain(missing[what] ?? "")
    }
  })

  testWith(...tools)("pasta connects a command, or says in a line why it can't", async () => {
    const { status, stdout, stderr } = await start(pastaExecutable, "--config-net", "--", "sh", "-c", connect).result
    if (pasta === "connects") return expect([status, stdout]).toEqual([0, "connected\n"])
    expect([status, stdout, stderr.trimEnd().split("\n").length]).toEqual([1, "", 1])
    expect(stderr).toContain(pasta)
  })

  if (pasta === "connects") {
    testWith(...tools)("pasta connects another process's namespace", async () => {
      const { status, stdout, stderr } = await start("sh", "-euc", connectAnother).result
      expect([status, stdout, stderr]).toEqual([0, "connected\n", ""])
    })
  }

  testWith(...tools)("packets move, as process 1, and the log says what holds", async () => {
    const socket = join(temporaryFolder("passt"), "socket")
    const passt = start(passtExecutable, "--foreground", "--debug", "--socket", socket)
    const [line] = await passt.printed(/Sandbox: (.*)$/m, "stderr")
    await eventually("it listens", () => (existsSync(socket) ? true : undefined))
    const guest = await createGuest()
    const standIn = await StandIn.start(guest, socket, { unconfigured: true })
    await configureGuest(guest)
    await expectTraffic(guest)
    await standIn.stop()
    await guest.remove()
    await passt.stop()
    expectParts(line, Object.keys(missing))
  })
})
