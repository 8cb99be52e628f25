// Installs a package as somebody who got it from a registry would: packed, with those of our packages that
// it depends on, into an empty project.
import { execFileSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { workspaces } from "../structure/packages.mjs"

/**
 * A package and those of the repository's packages that it depends on, directly or not.
 * @param {ReturnType<typeof workspaces>} all
 * @param {string} name
 * @returns {string[]} Their folders.
 */
function closure(all, name) {
  const found = all.find(({ manifest }) => manifest.name === name)
  if (found === undefined) return []
  const below = Object.keys(found.manifest.dependencies ?? {}).flatMap((dependency) => closure(all, dependency))
  return [...new Set([found.folder, ...below])]
}

/**
 * Installs the package `name`, one that needs the native addon, and answers what one of its commands prints there.
 * @param {string} root
 * @param {string} name
 * @param {readonly string[]} command
 */
export function runInstalled(root, name, [file = "", ...parameters]) {
  const project = mkdtempSync(join(tmpdir(), "demiflow-installed-"))
  try {
    /** @param {readonly string[]} options */
    const npm = (options) => execFileSync("npm", options, { cwd: project, encoding: "utf8", stdio: "pipe" })
    const packed = closure(workspaces(root), name).map((folder) => npm(["pack", "--silent", join(root, folder)]).trim())
    writeFileSync(join(project, "package.json"), '{ "private": true }\n')
    npm(["install", "--no-fund", "--no-audit", ...packed.map((archive) => `./${archive}`)])
    // The addon was compiled by that; it must load, and the command need not get as far as that.
    execFileSync(process.execPath, ["-e", 'require("@demiflow/sys/demiflow.node")'], { cwd: project, stdio: "pipe" })
    // So was the code that commands start from.
    if (!existsSync(join(project, "node_modules", name, "dist", "main.cjs.kept"))) throw new Error("it kept no code")
    // And what passt's sandbox begins with.
    const become = join(project, "node_modules", name, "dist", "become")
    if (file === "passt" && !existsSync(become)) throw new Error("nothing makes its namespaces")
    return execFileSync(join(project, "node_modules", ".bin", file), parameters, { encoding: "utf8", stdio: "pipe" })
  } finally {
    rmSync(project, { recursive: true, force: true })
  }
}
