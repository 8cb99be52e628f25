// npm run test:runtimes: units and simulations, and the core of the end-to-end tests, with each supported version of
// Node.js except the one that runs this, which `npm test` covers. npm's packages provide them, in a temporary folder.
import { execFileSync, spawnSync } from "node:child_process"
import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"

const versions = [20, 22, 24, 26]

const root = fileURLToPath(new URL("../..", import.meta.url))
const vitest = join(root, "node_modules/vitest/vitest.mjs")

/**
 * Returns the folder of the executable `node`.
 * @param {string} folder
 * @param {number} version
 */
function install(folder, version) {
  // A script of the package `node` would install this one.
  const name = `node-${process.platform}-${process.arch}`
  const options = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", "--prefix", folder]
  execFileSync("npm", ["install", ...options, `${name}@${version}`], { cwd: folder, stdio: "inherit" })
  return join(folder, "node_modules", name, "bin")
}

/** @param {number} version */
function runTests(version) {
  const folder = mkdtempSync(join(tmpdir(), `demiflow-node-${version}-`))
  // Ordinary users also start the commands.
  chmodSync(folder, 0o755)
  try {
    const bin = install(folder, version)
    const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` }
    const found = execFileSync("/usr/bin/env", ["node", "--version"], { encoding: "utf8", env }).trim()
    if (!found.startsWith(`v${version}.`)) throw new Error(`node is ${found} instead of ${version}`)
    console.log(`\n== Node.js ${found}`)
    return [["run"], ["run", "--config", "e2e/core.vitest.config.ts", "--exclude", "platform/**"]]
      .map((argv) => spawnSync("node", [vitest, ...argv], { cwd: root, stdio: "inherit", env }).status === 0)
      .every(Boolean)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const mine = Number(process.versions.node.split(".")[0])
const asked = process.argv.slice(2).map(Number)
for (const version of asked.length > 0 ? asked : versions.filter((each) => each !== mine)) {
  if (!runTests(version)) process.exitCode = 1
}
