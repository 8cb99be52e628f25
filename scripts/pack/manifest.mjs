import { execFileSync } from "node:child_process"

/**
 * package.json of a packed package.
 * @param {string} archive
 */
export function manifestIn(archive) {
  return JSON.parse(execFileSync("tar", ["-xzOf", archive, "package/package.json"], { encoding: "utf8" }))
}
