// Packs the packages once, as for publishing.
import { execFileSync } from "node:child_process"
import { join } from "node:path"

/**
 * Packs workspaces into `destination`. They are built before: `prepack` isn't run.
 * @param {string} root
 * @param {readonly string[]} folders
 * @param {string} destination
 * @returns {ReadonlyMap<string, string>} The archive of each package, by name.
 */
export function pack(root, folders, destination) {
  const parameters = ["pack", "--json", "--ignore-scripts", "--pack-destination", destination]
  const output = execFileSync("npm", [...parameters, ...folders.flatMap((folder) => ["--workspace", folder])], {
    cwd: root,
    encoding: "utf8",
    stdio: "pipe",
  })
  /** @type {{ name: string, filename: string }[]} */
  const packed = JSON.parse(output)
  return new Map(packed.map(({ name, filename }) => [name, join(destination, filename)]))
}
