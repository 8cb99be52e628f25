// Installs a package as from a registry: packed, with those of our packages that
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
 * Installs the package `name`. Returns the output of one of its commands.
 * @param {string} root
 * @param {string} name
 * @param {readonly string[]} command
 */
export function runInstalled(root, name, [file = "", ...parameters]) {
  const project = mkdtempSync(join(tmpdir(), "demiflow-installed-"))
  try {
    /** @param {readonly string[]} options */
    const npm = (options) => execFileSync("npm", options, { cwd: project, encoding: "utf8", stdio: "pipe" })
    // They are built before. `prepack` would build them anew, and say so between the names of the archives.
    const packing = ["pack", "--silent", "--ignore-scripts"]
    const packed = closure(workspaces(root), name).map((folder) => npm([...packing, join(root, folder)]).trim())
    writeFileSync(join(project, "package.json"), '{ "private": true }\n')
    npm(["install", "--no-fund", "--no-audit", ...packed.map((archive) => `./${archive}`)])
    if (existsSync(join(project, "node_modules", "@demiflow", "sys"))) checkDataPath(project, name)
    return execFileSync(join(project, "node_modules", ".bin", file), parameters, { encoding: "utf8", stdio: "pipe" })
  } finally {
    rmSync(project, { recursive: true, force: true })
  }
}

/**
 * Checks what the installation makes for a program with a data path.
 * @param {string} project
 * @param {string} name
 */
function checkDataPath(project, name) {
  // It has compiled the addon, which must load: the command may not reach that.
  execFileSync(process.execPath, ["-e", 'require("@demiflow/sys/demiflow.node")'], { cwd: project, stdio: "pipe" })
  const dist = join(project, "node_modules", name, "dist")
  // The code from which the program starts.
  if (!existsSync(join(dist, "main.cjs.kept"))) throw new Error("it kept no code")
  // The program and the list with which passt's sandbox begins.
  if (name === "@demiflow/passt" && !existsSync(join(dist, "become"))) throw new Error("nothing makes its namespaces")
}
