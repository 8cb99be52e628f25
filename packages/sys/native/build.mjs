// Compiles the native addon, and the native programs beside it, with the system's C compiler, without node-gyp and
// without a download: the headers of the Node-API come from the npm package `node-api-headers`, and one addon serves
// all versions of Node.js (NAPI_VERSION 9). A folder here with a `main.c` is a program. The folder `rings` is a part of
// the addon.
//
//   node build.mjs                 compiles what is older than one of its sources
//   node build.mjs --if-missing    compiles only what isn't there, and nothing where an optional package has an addon that
//                                  loads here (what the install script does)
//   node build.mjs --force         compiles always
//   node build.mjs --output FILE   writes another addon than build/demiflow.node, and the programs beside it
//   node build.mjs --only NAME     compiles only the file of that name; may be given several times
//
// Environment: CC is the compiler (default `cc`), and may be several words (`ccache gcc`) or a cross compiler
// (`aarch64-linux-gnu-gcc`); CFLAGS are options added at the end. Warnings are errors only where CFLAGS say so: a
// compiler that is newer than this file has warnings that nobody has seen yet.
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs"
import { createRequire } from "node:module"
import { basename, dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { compilerName, kernelHeaderOptions, runCompiler, targetOf } from "./compiler.mjs"

const folder = dirname(fileURLToPath(import.meta.url))

const { values: options } = parseArgs({
  options: {
    "if-missing": { type: "boolean", default: false },
    force: { type: "boolean", default: false },
    only: { type: "string", multiple: true },
    output: { type: "string", default: join(folder, "..", "build", "demiflow.node") },
  },
})

/**
 * Sources of the addon that a program includes too.
 * @type {Record<string, readonly string[]>}
 */
const shared = {
  become: ["steps.c", "steps-check.c", "steps-choose.c", "steps-run.c", "steps-wall.c", "steps.h", "native.h"],
}

const addon = resolve(options.output)
const flags = "-std=gnu11 -O2 -Wall -Wextra"
/** Not unloaded with the last thread that used it: signals' handlers lie in it. */
const stays = "-Wl,-z,nodelete"
const products = [
  {
    output: addon,
    sources: [...sourcesIn(folder), ...sourcesIn(join(folder, "rings"))],
    flags: `${flags} -fPIC -shared -fvisibility=hidden -pthread -DNAPI_VERSION=9 ${stays}`,
  },
  ...readdirSync(folder)
    .filter((name) => existsSync(join(folder, name, "main.c")))
    .map((name) => {
      const sources = [...(shared[name] ?? []).map((file) => join(folder, file)), ...sourcesIn(join(folder, name))]
      return { output: join(dirname(addon), name), sources, flags }
    }),
]

/**
 * The sources of a product, and what decides how they are compiled.
 * @param {string} path
 */
function sourcesIn(path) {
  const names = readdirSync(path).filter((name) => /\.(?:c|h)$/.test(name))
  return [...names.sort().map((name) => join(path, name)), fileURLToPath(import.meta.url), join(folder, "compiler.mjs")]
}

/**
 * Time of a file's last change, in milliseconds since the epoch, or -1 if there is no such file.
 * @param {string} file
 */
function changedAt(file) {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? -1
}

/** @param {{ output: string, sources: string[] }} product */
function isUpToDate({ output, sources }) {
  const builtAt = changedAt(output)
  if (builtAt < 0 || options.force) return false
  return options["if-missing"] || sources.every((file) => changedAt(file) <= builtAt)
}

/**
 * @param {string} message
 * @returns {never}
 */
function fail(message) {
  process.stderr.write(`@demiflow/sys: ${message}\n`)
  process.exit(1)
}

/** Options for the C library's headers. Ends the program where the sources can't be compiled for the compiler's target. */
function headerOptions() {
  if (process.platform !== "linux") fail(`this package is for Linux, and this is ${process.platform}`)
  const target = targetOf()
  // What is wrong with it becomes clear as soon as it compiles.
  if (target === undefined) return []
  if (target.bits !== 64)
    fail(`this package is for 64-bit processors, and \`${compilerName()}\` compiles for ${target.bits} bits`)
  if (!target.isLittleEndian) {
    fail(`this package is for little-endian processors, and \`${compilerName()}\` compiles for a big-endian one`)
  }
  return target.hasKernelHeaders ? [] : kernelHeaderOptions()
}

/**
 * @param {{ output: string, sources: string[], flags: string }} product
 * @param {readonly string[]} headers options
 */
function compile({ output, sources, flags }, headers) {
  const { include_dir: nodeHeaders } = createRequire(import.meta.url)("node-api-headers")
  mkdirSync(dirname(output), { recursive: true })
  // Written to another name and renamed: a process that has the old binary mapped keeps it, and concurrent builds do no
  // harm.
  const unfinished = `${output}.${process.pid}`
  const files = sources.filter((file) => file.endsWith(".c"))
  const { error, status } = runCompiler(
    [...flags.split(" "), "-isystem", nodeHeaders, ...headers, "-o", unfinished, ...files],
    { stdio: "inherit" },
  )
  if (error === undefined && status === 0) {
    renameSync(unfinished, output)
    return
  }
  rmSync(unfinished, { force: true })
  if (error !== undefined && "code" in error && error.code === "ENOENT") {
    fail(
      `no C compiler: \`${compilerName()}\` was not found; install one (on Debian: apt-get install gcc libc6-dev; ` +
        "on Alpine: apk add gcc musl-dev linux-headers)",
    )
  }
  fail(
    `${basename(output)} could not be compiled with \`${compilerName()}\`${error ? `: ${error.message}` : "; its messages are above"}`,
  )
}

/** Whether one of the packages with compiled addons is installed, and fits this machine. */
function hasPrebuilt() {
  const require = createRequire(import.meta.url)
  return ["gnu", "musl"].some((library) => {
    try {
      require(`@demiflow/sys-linux-${process.arch}-${library}/demiflow.node`)
      return true
    } catch {
      return false
    }
  })
}

const asked = products.filter(({ output }) => options.only?.includes(basename(output)) ?? true)
const outdated = asked.filter((product) => !isUpToDate(product))
if (outdated.length > 0 && !(options["if-missing"] && hasPrebuilt())) {
  const headers = headerOptions()
  for (const product of outdated) compile(product, headers)
}
