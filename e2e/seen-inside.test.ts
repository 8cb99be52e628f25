/** A command's view of its own user and namespaces, for each way of running one. */
import { readlinkSync } from "node:fs"
import { afterAll, beforeAll, expect, test } from "vitest"
import { Holder } from "./harness/holders.ts"
import type { Identity } from "./harness/identity.ts"
import { ordinaryUser } from "./harness/machine.ts"
import { runPasta } from "./harness/pasta.ts"
import { useTopology } from "./harness/topology.ts"

const topology = useTopology()
const NAMESPACES = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"]
const NOBODY = 65534
const EVERYBODY = "0 0 4294967295"

let joined: Holder
let manyUsers: Holder
beforeAll(async () => {
  joined = await Holder.start(["unshare", "--user", "--map-root-user"], "ordinary")
  manyUsers = await Holder.ofManyUsers()
})
afterAll(async () => {
  await joined.stop()
  await manyUsers.stop()
})

interface Case {
  readonly which: string
  readonly as: Identity
  readonly options?: () => readonly string[]
  readonly before?: () => readonly string[]
  /** The content of `/proc/self/uid_map`, and of `gid_map`, if that differs. */
  readonly map: string
  readonly groupMap?: string
  readonly setgroups?: "allow"
  readonly user?: number
  /** The namespaces that the command shares with this test, besides those for control groups and time. */
  readonly shared?: readonly string[]
}

const ofOrdinary = `0 ${ordinaryUser.uid} 1`
const oneInOne = "0 0 1"
const inNewOne = ["unshare", "--user", "--map-root-user", "--mount"]

const cases: readonly Case[] = [
  { which: "an ordinary user", as: "ordinary", map: ofOrdinary },
  {
    which: "an ordinary user, with --no-pidns",
    as: "ordinary",
    options: () => ["--no-pidns"],
    map: ofOrdinary,
    shared: ["pid"],
  },
  {
    which: "an ordinary user, with --userns",
    as: "ordinary",
    options: () => ["--userns", joined.path("user")],
    map: ofOrdinary,
  },
  { which: "root", as: "root", map: `0 ${NOBODY} 1` },
  { which: "root, with --no-pidns", as: "root", options: () => ["--no-pidns"], map: `0 ${NOBODY} 1`, shared: ["pid"] },
  {
    which: "root, with --runas",
    as: "root",
    options: () => ["--runas", "1234:1235"],
    map: "0 1234 1",
    groupMap: "0 1235 1",
  },
  { which: "root, with --userns", as: "root", options: () => ["--userns", joined.path("user")], map: ofOrdinary },
  {
    which: "root, with --netns-only",
    as: "root",
    options: () => ["--netns-only"],
    map: EVERYBODY,
    setgroups: "allow",
    user: NOBODY,
    shared: ["user"],
  },
  {
    which: "user 0 of a user namespace with one user",
    as: "ordinary",
    before: () => [...ordinaryUser.prefix, ...inNewOne],
    map: oneInOne,
  },
  {
    which: "user 0 of a user namespace with one user, with --netns-only",
    as: "ordinary",
    before: () => [...ordinaryUser.prefix, ...inNewOne],
    options: () => ["--netns-only"],
    map: ofOrdinary,
  },
  {
    which: "user 0 of a user namespace with thousands of users",
    as: "root",
    before: () => manyUsers.asUser0,
    map: oneInOne,
  },
]

const script = `cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; id -u; id -g; id -G
for name in ${NAMESPACES.join(" ")}; do readlink /proc/self/ns/$name; done`

test.each(cases)("$which", async ({ as, options = () => [], before = () => [], map, ...expected }) => {
  const argv = ["--config-net", ...options(), "--", "sh", "-c", script]
  const { status, stdout } = await runPasta(topology.host, argv, before().length === 0 ? as : "root", {
    before: before(),
  })
  const [users, groups, setgroups, user, group, supplementary, ...namespaces] = stdout
    .trim()
    .split("\n")
    .map((line) => line.trim().replace(/\s+/g, " "))
  const id = String(expected.user ?? 0)
  expect({ status, users, groups, setgroups, user, group, supplementary }).toEqual({
    status: 0,
    users: map,
    groups: expected.groupMap ?? map,
    setgroups: expected.setgroups ?? "deny",
    user: id,
    group: id,
    supplementary: id,
  })
  const shared = NAMESPACES.filter((name, index) => namespaces[index] === readlinkSync(`/proc/self/ns/${name}`))
  expect(shared).toEqual(["cgroup", "time", ...(expected.shared ?? [])].sort())
})
