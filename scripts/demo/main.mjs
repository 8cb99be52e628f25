// npm run demo: shows pasta at work between namespaces that it makes for that, as root or as an
// ordinary user, and leaves nothing behind.
//
// This first process looks whether the machine has what it takes and moves into namespaces of its own:
// whatever is made there is gone when the processes in them are. stage.mjs goes on from there.
import { spawn } from "node:child_process"
import { accessSync, constants, existsSync } from "node:fs"
import { delimiter, join } from "node:path"
import { giveUp } from "./print.mjs"

const isRoot = process.getuid?.() === 0
const packages = {
  ip: "iproute2",
  unshare: "util-linux",
  nsenter: "util-linux",
  ping: "iputils-ping",
  traceroute: "traceroute",
}
const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"]

const missing = Object.keys(packages).filter((tool) => !folders.some((folder) => existsSync(join(folder, tool))))
if (process.platform !== "linux") giveUp("it needs Linux.", "Run it on a Linux machine.")
if (missing.length > 0) {
  const names = [...new Set(missing.map((tool) => packages[tool]))].join(" ")
  giveUp(`not installed: ${missing.join(", ")}.`, `On Debian or Ubuntu: sudo apt-get install ${names}`)
}
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

const stage = [process.execPath, join(import.meta.dirname, "stage.mjs"), isRoot ? "root" : "an ordinary user"]
const unshare = isRoot ? ["unshare", "--net"] : ["unshare", "--user", "--map-root-user", "--net"]
const child = spawn(unshare[0], [...unshare.slice(1), ...stage], {
  detached: true, // A process group, so that all of it can be ended together.
  stdio: "inherit",
  env: { ...process.env, PATH: folders.join(delimiter) },
})

function end() {
  try {
    process.kill(-child.pid, "SIGKILL")
  } catch {
    // All gone already.
  }
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1))
process.on("exit", end)
child.on("error", (error) => giveUp(error.message, "Is util-linux installed?"))
child.on("exit", (status) => {
  process.exitCode = status ?? 1
})
