// npm run demo: shows pasta at work between temporary namespaces, as root or as an
// ordinary user, and leaves nothing behind. It needs Node.js, the kernel, and this repository's build.
//
//   npm run demo -- MEGABYTES   how much to download, 500 if absent
//
// This first process checks the machine's requirements and continues in namespaces of its own (stage.mjs):
// everything made there disappears with the processes in them.
import { accessSync, constants } from "node:fs"
import { join } from "node:path"
import { giveUp } from "./print.mjs"

if (process.platform !== "linux") giveUp("it needs Linux.", "Run it on a Linux machine.")
try {
  accessSync("/dev/net/tun", constants.R_OK | constants.W_OK)
} catch (error) {
  if (error.code === "ENOENT")
    giveUp("there is no /dev/net/tun.", "Load the module (sudo modprobe tun), or let the container have the device.")
  giveUp(
    "/dev/net/tun is closed to this user.",
    "Open it (sudo chmod 0666 /dev/net/tun), as most distributions do, or run the demo as root.",
  )
}

const { NamespaceFlag } = await import("@demiflow/sys")
const { runToEnd } = await import("./children.mjs")

const user = process.getuid()
const group = process.getgid()
const isRoot = user === 0

/** An ordinary user is root of a user namespace of its own, see user_namespaces(7). */
const steps = isRoot
  ? [{ kind: "unshare", flags: NamespaceFlag.network }]
  : [
      { kind: "unshare", flags: NamespaceFlag.user | NamespaceFlag.network },
      { kind: "writeFile", path: "/proc/self/setgroups", contents: "deny", mayFail: true },
      { kind: "writeFile", path: "/proc/self/uid_map", contents: `0 ${user} 1` },
      { kind: "writeFile", path: "/proc/self/gid_map", contents: `0 ${group} 1` },
    ]

// All started processes end with this one.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1))
const stage = [
  process.execPath,
  join(import.meta.dirname, "stage.mjs"),
  isRoot ? "root" : "an ordinary user",
  ...process.argv.slice(2),
]
try {
  process.exitCode = await runToEnd(stage, steps)
} catch (error) {
  giveUp(
    error.message,
    "The demo needs to make network namespaces: run it as root, or where ordinary users may (user namespaces).",
  )
}
