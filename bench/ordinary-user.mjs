// Running programs without privileges.
import { spawnSync } from "node:child_process"
import { eventually, nameOf, networkOf, Program } from "./processes.mjs"

/** The prefix of a command that runs without privileges. */
export const asOrdinaryUser = [
  "env",
  "HOME=/",
  "SHELL=/bin/sh",
  "setpriv",
  "--reuid=65534",
  "--regid=65534",
  "--clear-groups",
  "--inh-caps=-all",
  "--",
]

/**
 * A user and a network namespace, held by the command that runs there.
 * @param {readonly string[]} command
 */
export async function makeNamespace(command) {
  const holder = new Program([...asOrdinaryUser, "unshare", "--user", "--map-root-user", "--net", ...command])
  await eventually("a namespace", () => {
    if (holder.hasEnded) throw new Error(holder.complaint)
    const network = networkOf(holder.pid)
    // unshare has executed the command: its user namespace is complete.
    return network !== networkOf("self") && nameOf(holder.pid) !== "unshare" ? true : undefined
  })
  return holder
}

/**
 * The version that a program prints.
 * @param {string} path
 */
export function reportedVersion(path) {
  const { stdout } = spawnSync(path, ["--version"], { encoding: "utf8" })
  return (stdout ?? "").split("\n")[0].trim()
}
