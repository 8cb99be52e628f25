// Publishes archives of packages, except those whose version the registry has.
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { manifestIn } from "../pack/manifest.mjs"

const run = promisify(execFile)

/** @param {string} archive */
const isNative = (archive) => archive.includes("-sys-linux-")

/**
 * Uses the registry of npm's configuration. Rejects at the first archive that the registry refuses.
 * @param {readonly string[]} archives their paths
 * @param {import("node:child_process").ExecFileOptions} [options]
 * @returns {Promise<string[]>} the names of the published packages, in this order
 */
export async function publishArchives(archives, options = {}) {
  const published = []
  // Those with the native part come first, for an installation of @demiflow/sys at this very moment.
  for (const archive of [...archives].sort((a, b) => Number(isNative(b)) - Number(isNative(a)))) {
    const { name, version } = manifestIn(archive)
    // It fails where the registry has no such version.
    const view = await run("npm", ["view", `${name}@${version}`, "version"], options).catch(() => ({ stdout: "" }))
    if (String(view.stdout).trim() === version) continue
    await run("npm", ["publish", "--access", "public", archive], options)
    published.push(name)
  }
  return published
}
