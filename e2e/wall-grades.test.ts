/**
 * Where a step of the wall is impossible, the others hold, everything works, and `--print-sandbox` prints the reason.
 */
import { existsSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname } from "node:path"
import { describe, expect, test } from "vitest"
import { expectParts } from "./cases/sandbox.ts"
import { expectTraffic } from "./cases/traffic.ts"
import type { Identity } from "./harness/identity.ts"
import { repository, sharedFolder, temporaryFolder } from "./harness/machine.ts"
import { runPasst } from "./harness/passt.ts"
import { Pasta, runPasta } from "./harness/pasta.ts"
import type { Result } from "./harness/processes.ts"
import { useServer } from "./harness/servers.ts"
import { Connection } from "./harness/stand-in.ts"
import { useTopology } from "./harness/topology.ts"

const topology = useTopology()
useServer("tcp-server", topology)
useServer("udp-server", topology)

const NAMESPACES = "namespaces of its own"
const ROOT = "an empty root"

interface Grade {
  readonly where: string
  readonly as: Identity
  readonly before: () => readonly string[]
  /** The steps that don't hold, and a part of the reason. */
  readonly missing: Readonly<Record<string, string>>
  /** True where pasta can't run a command, which needs a user namespace. */
  readonly hasNoCommand?: boolean
}

/** The machine's files below a folder that is no mount point. */
function inChroot(): readonly string[] {
  const folder = temporaryFolder("chroot")
  const node = dirname(dirname(process.execPath))
  const folders = [...new Set(["/usr", "/bin", "/lib", "/lib64", "/proc", "/dev", "/etc", tmpdir(), repository, node])]
  const script = [
    'root="$1"; shift',
    'while [ "$1" != -- ]; do mkdir -p "$root$1"; mount --rbind "$1" "$root$1"; shift; done; shift',
    'exec chroot "$root" "$@"',
  ]
  return [
    "unshare",
    "--mount",
    "--",
    "sh",
    "-euc",
    script.join("; "),
    "sh",
    folder,
    ...folders.filter(existsSync),
    "--",
  ]
}

const grades: readonly Grade[] = [
  { where: "for an ordinary user", as: "ordinary", before: () => [], missing: {} },
  { where: "for root", as: "root", before: () => [], missing: {} },
  {
    where: "where new privileges are out of reach already",
    as: "ordinary",
    before: () => ["setpriv", "--no-new-privs", "--"],
    missing: {},
  },
  {
    where: "where files are read-only",
    as: "ordinary",
    before: () => [
      ...["unshare", "--mount", "--", "sh", "-euc"],
      'mount --bind "$0" "$0"; mount -o remount,bind,ro /; exec "$@"',
      sharedFolder(),
    ],
    missing: {},
  },
  {
    where: "in a chroot, for root",
    as: "root",
    before: inChroot,
    missing: { [ROOT]: "chroot" },
    hasNoCommand: true,
  },
  {
    where: "in a chroot, for an ordinary user",
    as: "ordinary",
    before: inChroot,
    missing: { [NAMESPACES]: "chroot", [ROOT]: "unshare" },
    hasNoCommand: true,
  },
  {
    where: "without further namespaces",
    as: "root",
    before: () => [
      ...["unshare", "-Ur", "--", "sh", "-euc"],
      'echo 0 | tee /proc/sys/user/max_user_namespaces > /proc/sys/user/max_mnt_namespaces; exec "$@"',
      "sh",
    ],
    // User 0 of a user namespace may open ports below 1024.
    missing: { [NAMESPACES]: "user.max_user_namespaces", [ROOT]: "ENOSPC", "no capabilities": "of the caller's" },
    hasNoCommand: true,
  },
]

type Run = (options: { readonly as: Identity; readonly before: readonly string[] }) => Promise<Result>

const programs: readonly (readonly [program: string, run: Run])[] = [
  ["passt", (options) => runPasst(topology.host, ["--print-sandbox"], options)],
  ["pasta", (options) => runPasta(topology.host, ["--print-sandbox"], options.as, options)],
]

describe.each(grades)("$where", ({ as, before, missing, hasNoCommand }) => {
  test.each(programs)("--print-sandbox of %s says what holds, and why not the rest", async (_program, run) => {
    const { status, stdout, stderr } = await run({ as, before: before() })
    expect([status, stderr]).toEqual([0, ""])
    const lines = stdout.trimEnd().split("\n")
    expect(lines.length).toBeGreaterThan(7)
    for (const line of lines) {
      const [, isThere, what, whyNot = ""] = /^(yes|no): ([^:]+)(?:: (.+))?$/.exec(line) ?? []
      // A kernel may lack it.
      if (what === "Landlock") continue
      expect([what, isThere]).toEqual([what, what in missing ? "no" : "yes"])
      expect(whyNot).toContain(missing[what] ?? "")
    }
  })

  const expectSameInLog = (stderr: string): void => expectParts(stderr, Object.keys(missing))

  test("packets of passt's guest move, and the log says the same at --debug", async () => {
    const connection = await Connection.start(topology, { options: ["--debug"], settings: { as, before: before() } })
    await expectTraffic(connection.guest)
    expectSameInLog((await connection.stop()).stderr)
  })

  if (hasNoCommand) return
  test("packets of pasta's guest move, and the log says the same at --debug", async () => {
    const pasta = await Pasta.start(topology, { options: ["--config-net", "--debug"], as, before: before() })
    await expectTraffic(pasta.guest)
    expectSameInLog((await pasta.stop()).stderr)
  })
})
