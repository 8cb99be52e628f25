// The programs in examples/, as somebody who copies them has them: the packages come from a registry.
import { execFileSync } from "node:child_process"
import { cpSync, existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { build } from "esbuild"
import { workspaces } from "../structure/packages.mjs"

/** What the examples need that isn't ours. */
export const dependenciesOfExamples = ["ws", "v86"]

/** @param {string} root the repository */
function examplesOf(root) {
  return workspaces(root).filter(({ folder }) => folder.startsWith("examples/"))
}

/**
 * package.json of a project that holds them all.
 * @param {string} root the repository
 */
export function manifestOfExamples(root) {
  const manifests = examplesOf(root).map(({ folder }) => readFileSync(join(root, folder, "package.json"), "utf8"))
  const dependencies = Object.assign({}, ...manifests.map((text) => JSON.parse(text).dependencies))
  return { private: true, dependencies }
}

/**
 * Copies the examples into a project in which their dependencies are installed, and compiles them there.
 * Returns their folders in the project, with the name of the script that runs each.
 * @param {string} root the repository
 * @param {string} project
 */
export async function copyExamples(root, project) {
  const files = execFileSync("git", ["-C", root, "ls-files", "-z", "--", "examples"], { encoding: "utf8" })
  for (const file of files.split("\0").filter(Boolean)) cpSync(join(root, file), join(project, file))
  const folders = examplesOf(root).map(({ folder }) => folder)
  for (const folder of folders) await compile(join(project, folder))
  return folders.map((folder) => ({
    folder,
    script: existsSync(join(project, folder, "trial.mjs")) ? "trial" : "start",
  }))
}

/** @param {string} folder */
async function compile(folder) {
  const programs = readdirSync(join(folder, "src")).filter((name) => name.endsWith(".ts") && !name.includes(".test"))
  const shared = /** @type {const} */ ({ bundle: true, format: "esm", outdir: join(folder, "dist"), logLevel: "error" })
  await build({
    ...shared,
    entryPoints: programs.map((name) => join(folder, "src", name)),
    platform: "node",
    packages: "external",
  })
  const page = join(folder, "page/page.ts")
  if (existsSync(page)) await build({ ...shared, entryPoints: [page], platform: "browser", external: ["v86"] })
}
