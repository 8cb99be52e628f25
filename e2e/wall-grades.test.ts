/** Where a step of the wall is impossible, the next best holds, everything works, and `--print-sandbox` says why. */
import { describe, expect, test } from "vitest"
import { expectTraffic } from "./cases/traffic.ts"
import type { Identity } from "./harness/identity.ts"
import { sharedFolder } from "./harness/machine.ts"
import { runPasst } from "./harness/passt.ts"
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
  /** What doesn't hold, and what the reason contains. */
  readonly missing: Readonly<Record<string, string>>
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
    where: "without further namespaces",
    as: "root",
    before: () => [
      ...["unshare", "-Ur", "--", "sh", "-euc"],
      'echo 0 | tee /proc/sys/user/max_user_namespaces > /proc/sys/user/max_mnt_namespaces; exec "$@"',
      "sh",
    ],
    // User 0 of a user namespace may open ports below 1024.
    missing: { [NAMESPACES]: "user.max_user_namespaces", [ROOT]: "ENOSPC", "no capabilities": "of the caller's" },
  },
]

describe.each(grades)("$where", ({ as, before, missing }) => {
  test("--print-sandbox says what holds, and why not the rest", async () => {
    const { status, stdout, stderr } = await runPasst(topology.host, ["--print-sandbox"], { as, before: before() })
    expect([status, stderr]).toEqual([0, ""])
    const lines = stdout.trimEnd().split("\n")
    expect(lines.length).toBeGreaterThan(7)
    for (const line of lines) {
      const [, isThere, what, whyNot = ""] = /^(yes|no): ([^:]+)(?:: (.+))?$/.exec(line) ?? []
      // A kernel need not have it.
      if (what === "Landlock") continue
      expect([what, isThere]).toEqual([what, what in missing ? "no" : "yes"])
      expect(whyNot).toContain(missing[what] ?? "")
    }
  })

  test("packets move, and the log says the same at --debug", async () => {
    const connection = await Connection.start(topology, { options: ["--debug"], settings: { as, before: before() } })
    await expectTraffic(connection.guest)
    const { stderr } = await connection.stop()
    const [, line] = /Sandbox: (.*)$/m.exec(stderr) ?? []
    const [holds = "", without = ""] = (line ?? "").split("; without ")
    expect(holds).toContain("filtered system calls")
    expect(ROOT in missing ? without : holds).toContain(ROOT)
  })
})
