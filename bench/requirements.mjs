// The requirements of the bench, and the Debian packages that provide them.
import { accessSync, constants, existsSync, statSync } from "node:fs"
import { delimiter, join, sep } from "node:path"
import { commandOf } from "./arguments.mjs"

/**
 * The folders that are searched for programs: those of administration included, those that npm puts first excluded,
 * because they contain our own pasta.
 */
export const folders = searched(process.env.PATH ?? "")

/** @type {Readonly<Record<string, string>>} */
const packages = {
  cc: "gcc libc6-dev",
  ip: "iproute2",
  mount: "mount",
  nsenter: "util-linux",
  passt: "passt",
  pasta: "passt",
  setpriv: "util-linux",
  slirp4netns: "slirp4netns",
  sysctl: "procps",
  unshare: "util-linux",
}
const always = ["cc", "ip", "mount", "nsenter", "setpriv", "sysctl", "unshare"]
/** Debian's programs that are measured beside each of ours. */
const installedPeers = { pasta: ["pasta", "slirp4netns"], passt: ["passt"], "vhost-user": [] }

/** @param {string} path The value of PATH. */
export function searched(path) {
  const own = path.split(delimiter).filter((folder) => !folder.split(sep).includes("node_modules"))
  return [...own, "/usr/sbin", "/sbin"]
}

/**
 * The path of a program.
 * @param {string} name
 */
export function findProgram(name) {
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path))
}

/**
 * Why the bench can't run here, in one line; undefined if it can.
 * @param {import("./arguments.mjs").Settings} settings
 * @param {string} ours Path of the executable that is measured.
 * @returns {string | undefined}
 */
export function missing({ program, without, more }, ours) {
  if (process.platform !== "linux") return "it needs Linux"
  if (process.getuid?.() !== 0) return "it makes network namespaces and has to be started as root"
  const peers = installedPeers[program].filter((name) => !without.includes(name))
  const absent = [...always, ...peers].filter((name) => findProgram(name) === undefined)
  if (absent.length > 0) {
    const names = [...new Set(absent.map((name) => packages[name]))].join(" ")
    const hint = absent.every((name) => peers.includes(name)) ? `, or leave it out: --without ${absent[0]}` : ""
    return `not installed: ${absent.join(", ")} (on Debian: apt-get install ${names}${hint})`
  }
  if (!existsSync("/dev/net/tun")) return "there is no /dev/net/tun: load the module with modprobe tun"
  if (!existsSync(join(ours, "../../dist")))
    return `${commandOf(program)} is not built yet: run npm ci && npm run build`
  const unusable = more.find(({ path }) => !isExecutable(path))
  return unusable && `${unusable.name}: ${unusable.path} is not a program`
}

/** @param {string} path */
function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
