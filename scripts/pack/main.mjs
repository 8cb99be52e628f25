// npm run pack -- FOLDER: packs all packages as they are published, those with the compiled native part included.
// Build first.
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { optionalDependencies } from "../prebuilt/targets.mjs"
import { workspaces } from "../structure/packages.mjs"

const root = fileURLToPath(new URL("../..", import.meta.url))

/**
 * Packs the package in `from`. Returns the path of the archive.
 * @param {string} from
 * @param {string} to
 */
function pack(from, to) {
  // A script would build the package once more.
  const options = ["pack", "--silent", "--ignore-scripts", "--pack-destination", to]
  return join(to, execFileSync("npm", [...options, from], { cwd: root, encoding: "utf8" }).trim())
}

/**
 * Packs @demiflow/sys with optional dependencies on the packages that have its native part compiled. In the repository it
 * doesn't have these: they are no workspaces, because npm refuses a workspace for another architecture, and before they
 * are published a lock file can't name them.
 * @param {string} folder of the package
 * @param {string} work
 * @param {string} to
 */
function packSys(folder, work, to) {
  const archive = pack(folder, work)
  execFileSync("tar", ["-xzf", archive, "-C", work])
  const file = join(work, "package", "package.json")
  const manifest = JSON.parse(readFileSync(file, "utf8"))
  manifest.optionalDependencies = optionalDependencies(manifest.version)
  writeFileSync(file, `${JSON.stringify(manifest, null, 2)}\n`)
  pack(join(work, "package"), to)
}

const [folder] = process.argv.slice(2)
if (folder === undefined) throw new Error("The folder for the archives is missing")
const output = resolve(folder)
mkdirSync(output, { recursive: true })
const work = mkdtempSync(join(tmpdir(), "demiflow-pack-"))
try {
  const prebuilt = join(work, "prebuilt")
  execFileSync(process.execPath, [join(root, "scripts/prebuilt/main.mjs"), prebuilt], { stdio: "inherit" })
  for (const name of readdirSync(prebuilt)) pack(join(prebuilt, name), output)
  for (const { folder: workspace, manifest } of workspaces(root)) {
    if (manifest.private) continue
    if (manifest.name === "@demiflow/sys") packSys(join(root, workspace), work, output)
    else pack(join(root, workspace), output)
  }
} finally {
  rmSync(work, { recursive: true })
}
