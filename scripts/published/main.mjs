// npm run check:published: packs the packages as for publishing, and checks them with publint (is package.json
// correct?), attw (do the types fit the code?) and the compiler (are the declarations themselves correct?), then
// installs and starts the commands. Build first.
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { publint } from "publint"
import { formatMessage } from "publint/utils"
import { workspaces } from "../structure/packages.mjs"
import { runInstalled } from "./install.mjs"
import { pack } from "./pack.mjs"
import { problemsOfDeclarations } from "./types.mjs"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** The addon is compiled where the package is installed, so it is exported but not published. */
const compiledOnInstall = /\.node$/

/** `browser` of package.json leaves out other packages by name, in every bundler. `exports` have only own files. */
const notAsked = "USE_EXPORTS_OR_IMPORTS_BROWSER"

/** @param {string} archive */
async function problemsOfManifest(archive) {
  const bytes = readFileSync(archive)
  const tarball = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)
  const { messages, pkg } = await publint({ strict: true, pack: { tarball } })
  return messages
    .filter(({ code, path }) => !(code === "FILE_DOES_NOT_EXIST" && compiledOnInstall.test(path.at(-1) ?? "")))
    .filter(({ code }) => code !== notAsked)
    .map((message) => formatMessage(message, pkg, { color: false }) ?? message.code)
}

/**
 * @param {string} archive
 * @param {readonly string[]} entries
 */
function problemsOfTypes(archive, entries) {
  if (entries.length === 0) return []
  const attw = join(root, "node_modules", ".bin", "attw")
  const parameters = [archive, "--profile", "esm-only", "--format", "ascii", "--entrypoints", ...entries]
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

/** @param {{ exports: Record<string, unknown> }} manifest */
function entriesOf({ exports }) {
  return Object.keys(exports).filter((entry) => !/\.(json|node)$/.test(entry))
}

let failures = 0
const published = workspaces(root).filter(({ manifest }) => !manifest.private)
const destination = mkdtempSync(join(tmpdir(), "demiflow-packed-"))
try {
  const folders = published.map(({ folder }) => folder)
  const archives = pack(root, folders, destination)
  for (const { folder, manifest } of published) {
    const archive = archives.get(manifest.name) ?? ""
    const problems = [
      ...(await problemsOfManifest(archive)),
      ...problemsOfTypes(archive, entriesOf(manifest)),
      ...problemsOfCommands(manifest.name, Object.keys(manifest.bin ?? {})),
    ]
    if (problems.length > 0) failures += 1
    for (const problem of problems) console.log(`${folder}: ${problem}`)
  }
  console.log(`${published.length - failures} packages passed, ${failures} failed`)

  const specifiers = published.flatMap(({ manifest }) => entriesOf(manifest).map((entry) => join(manifest.name, entry)))
  const mistaken = problemsOfDeclarations(root, archives, specifiers)
  for (const problem of mistaken) console.log(problem)
  console.log(mistaken.length === 0 ? "The declarations are correct." : `${mistaken.length} mistakes in declarations`)
  failures += mistaken.length
} finally {
  rmSync(destination, { recursive: true, force: true })
}
process.exitCode = failures === 0 ? 0 : 1
