// npm run check:published: packs the packages as for publishing, and checks them with publint (is package.json
// correct?) and attw (do the types fit the code?), then installs and starts the commands.
// Build first.
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { publint } from "publint"
import { formatMessage } from "publint/utils"
import { workspaces } from "../structure/packages.mjs"
import { runInstalled } from "./install.mjs"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** The addon is compiled where the package is installed, so it is exported but not published. */
const compiledOnInstall = /\.node$/

/** @param {string} folder */
async function problemsOfManifest(folder) {
  const { messages, pkg } = await publint({ pkgDir: join(root, folder), strict: true, pack: "npm" })
  return messages
    .filter(({ code, path }) => !(code === "FILE_NOT_PUBLISHED" && compiledOnInstall.test(path.at(-1) ?? "")))
    .map((message) => formatMessage(message, pkg, { color: false }) ?? message.code)
}

/**
 * @param {string} folder
 * @param {readonly string[]} entries
 */
function problemsOfTypes(folder, entries) {
  if (entries.length === 0) return []
  const attw = join(root, "node_modules", ".bin", "attw")
  const parameters = ["--pack", folder, "--profile", "esm-only", "--format", "ascii", "--entrypoints", ...entries]
  const run = spawnSync(attw, parameters, { cwd: root, encoding: "utf8" })
  return run.status === 0 ? [] : [run.error?.message ?? run.stdout + run.stderr]
}

/**
 * @param {string} name
 * @param {readonly string[]} commands
 */
function problemsOfCommands(name, commands) {
  return commands.flatMap((command) => {
    try {
      return runInstalled(root, name, [command, "--version"]).includes(command) ? [] : [`${command} prints no version`]
    } catch (error) {
      return [`${command} does not run once installed: ${error}`]
    }
  })
}

let failures = 0
const published = workspaces(root).filter(({ manifest }) => !manifest.private)
for (const { folder, manifest } of published) {
  const entries = Object.keys(manifest.exports).filter((entry) => !/\.(json|node)$/.test(entry))
  const problems = [
    ...(await problemsOfManifest(folder)),
    ...problemsOfTypes(folder, entries),
    ...problemsOfCommands(manifest.name, Object.keys(manifest.bin ?? {})),
  ]
  if (problems.length > 0) failures += 1
  for (const problem of problems) console.log(`${folder}: ${problem}`)
}
console.log(`${published.length - failures} packages passed, ${failures} failed`)
process.exitCode = failures === 0 ? 0 : 1
