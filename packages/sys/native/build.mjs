// Compiles the native addon with the system's C compiler, without node-gyp and without a download: the
// headers of the Node-API come from the npm package `node-api-headers`, and one binary serves all
// versions of Node.js (NAPI_VERSION 9).
//
//   node build.mjs                 compiles if a source is newer than the binary
//   node build.mjs --if-missing    compiles only if there is no binary (what the install script does)
//   node build.mjs --force         compiles always
//   node build.mjs --output FILE   writes another file than build/demiflow.node
//
// Environment: CC is the compiler (default `cc`), CFLAGS are options added at the end.
import { spawnSync } from "node:child_process"
import { mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"

const folder = dirname(fileURLToPath(import.meta.url))

const { values: options } = parseArgs({
  options: {
    "if-missing": { type: "boolean", default: false },
    force: { type: "boolean", default: false },
    output: { type: "string", default: join(folder, "..", "build", "demiflow.node") },
  },
})

const output = resolve(options.output)
const files = readdirSync(folder)
  .filter((name) => /\.(?:c|h|mjs)$/.test(name))
  .map((name) => join(folder, name))
const sources = files.filter((file) => file.endsWith(".c")).sort()

/**
 * When a file was last changed, in milliseconds since the epoch, or -1 if there is none.
 * @param {string} file
 */
function changedAt(file) {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? -1
}

function isUpToDate() {
  const builtAt = changedAt(output)
  if (builtAt < 0 || options.force) return false
  return options["if-missing"] || files.every((file) => changedAt(file) <= builtAt)
}

/**
 * @param {string} message
 * @returns {never}
 */
function fail(message) {
  process.stderr.write(`@demiflow/sys: ${message}\n`)
  process.exit(1)
}

function compile() {
  if (process.platform !== "linux") fail(`this package is for Linux, and this is ${process.platform}`)
  const { include_dir: headers } = createRequire(import.meta.url)("node-api-headers")
  mkdirSync(dirname(output), { recursive: true })
  // Written aside and renamed: a process that has the old binary mapped keeps it, and two builds at once do no harm.
  const unfinished = `${output}.${process.pid}`
  const flags = "-std=gnu11 -O2 -Wall -Wextra -Werror -fPIC -shared -fvisibility=hidden -pthread -DNAPI_VERSION=9"
  const extra = (process.env.CFLAGS ?? "").split(/\s+/).filter(Boolean)
  const compiler = process.env.CC ?? "cc"
  const { error, status } = spawnSync(
    compiler,
    [...flags.split(" "), "-isystem", headers, ...extra, "-o", unfinished, ...sources],
    { stdio: "inherit" },
  )
  if (error === undefined && status === 0) {
    renameSync(unfinished, output)
    return
  }
  rmSync(unfinished, { force: true })
  if (error !== undefined && "code" in error && error.code === "ENOENT") {
    fail(`no C compiler: \`${compiler}\` was not found; install one (on Debian: apt-get install gcc libc6-dev)`)
  }
  fail(
    `the native addon could not be compiled with \`${compiler}\`${error ? `: ${error.message}` : "; its messages are above"}`,
  )
}

if (!isUpToDate()) compile()
