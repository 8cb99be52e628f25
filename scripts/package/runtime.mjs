// The runtime that is put into the executables: Node.js, from npm's packages of its binaries.
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"

/** The newest whose executables take options, and that makes executables itself. */
export const version = "26.12.1"

/**
 * SHA-256 of `bin/node`, by the architecture as Node.js names it.
 * @type {Record<string, string>}
 */
const digests = {
  x64: "08f12d42fb304468e8ee86247fe686aae5b225836ea65e9d6566c11ae6ba2e8e",
  arm64: "7d32bda549eb24395c1d9830731470a0045781b15797d5943591c333a085b2da",
}

/**
 * Fetches the runtime for this machine, unless that was done before. Returns the folder of its package.
 * @param {string} cache
 */
export function fetchRuntime(cache) {
  const name = `node-linux-${process.arch}`
  const folder = join(cache, `${name}-${version}`)
  if (!existsSync(folder)) {
    mkdirSync(cache, { recursive: true })
    const unfinished = mkdtempSync(join(cache, "unfinished-"))
    const options = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", "--prefix", unfinished]
    try {
      execFileSync("npm", ["install", ...options, `${name}@${version}`], { cwd: unfinished, stdio: "inherit" })
      renameSync(join(unfinished, "node_modules", name), folder)
    } finally {
      rmSync(unfinished, { recursive: true })
    }
  }
  const digest = createHash("sha256")
    .update(readFileSync(join(folder, "bin/node")))
    .digest("hex")
  if (digest === digests[process.arch]) return folder
  rmSync(folder, { recursive: true })
  throw new Error(`${name}@${version} has another executable than expected: ${digest}`)
}
