// Makes a command one executable: the runtime, with the bundle and the native files in it.
import { execFileSync } from "node:child_process"
import { copyFileSync, writeFileSync } from "node:fs"
import { basename, join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { build } from "esbuild"
import { compile, noticeOf } from "../prebuilt/compile.mjs"
import { addon, programs, targets } from "../prebuilt/targets.mjs"
import { fetchRuntime } from "./runtime.mjs"

const root = fileURLToPath(new URL("../..", import.meta.url))
const cache = join(root, "node_modules/.cache/demiflow-package")
/** Sources of workspace packages, as the commands' own builds take them. */
const common = { bundle: true, platform: "node", conditions: ["@demiflow/source"], logLevel: "warning" }
/** What a bundle that isn't an ES module lacks. */
const ownLocation = {
  define: { "import.meta.url": "ownLocation" },
  banner: { js: 'const ownLocation = require("node:url").pathToFileURL(__filename).href' },
}

/** The machine that this is. */
export const target = targets.find(({ architecture, libc }) => architecture === process.arch && libc === "gnu")

/**
 * The options that the runtime of the executables always has.
 * @param {string} work
 * @returns {Promise<string[]>}
 */
async function runtimeOptions(work) {
  const outfile = join(work, "runtime.mjs")
  const entryPoints = [join(root, "packages/program/src/runtime.ts")]
  await build({ .../** @type {any} */ (common), entryPoints, format: "esm", outfile })
  const { dataPathOptions } = await import(pathToFileURL(outfile).href)
  return dataPathOptions()
}

/**
 * What all executables consist of, besides their bundles.
 * @param {string} work a folder for files that are needed meanwhile
 */
export async function prepare(work) {
  if (target === undefined) throw new Error(`There are no executables for ${process.arch}`)
  const problems = compile(work, target)
  if (problems.length > 0) throw new Error(problems.join("\n"))
  const folder = fetchRuntime(cache)
  const runtime = join(folder, "bin/node")
  const stripped = join(work, "node")
  copyFileSync(runtime, stripped)
  // Names of functions that nothing outside can call: a fifth of the file.
  execFileSync("strip", [stripped])
  const licences = {
    demiflow: join(root, "LICENSE"),
    "Node.js, which is part of the executable": join(folder, "LICENSE"),
    "musl, which is part of the programs in the executable": noticeOf(target),
  }
  return { work, runtime, stripped, licences, options: await runtimeOptions(work) }
}

/**
 * @param {Awaited<ReturnType<typeof prepare>>} parts
 * @param {string} name of the command
 * @param {string} output
 */
export async function makeExecutable({ work, runtime, stripped, options }, name, output) {
  const bundle = join(work, `${name}.cjs`)
  await build({
    .../** @type {any} */ (common),
    ...ownLocation,
    entryPoints: [join(root, `apps/${name}/src/one-file.ts`)],
    outfile: bundle,
    format: "cjs",
    target: "node26",
    minifyWhitespace: true,
    minifySyntax: true,
  })
  const settings = {
    // Becomes part of the file, so not the path of a temporary folder.
    main: basename(bundle),
    output,
    executable: stripped,
    disableExperimentalSEAWarning: true,
    // Compiled with these options, so that it is accepted.
    useCodeCache: true,
    execArgv: options,
    // As for the commands of npm's packages: NODE_OPTIONS adds to these.
    execArgvExtension: "env",
    assets: Object.fromEntries([addon, ...programs].map((file) => [file, file])),
  }
  const file = `${name}.json`
  writeFileSync(join(work, file), JSON.stringify(settings))
  // Compiled code contains the seeds of hash tables: the same sources make the same file.
  execFileSync(runtime, [...options, "--random-seed=1", "--build-sea", file], {
    cwd: work,
    stdio: ["ignore", "ignore", "inherit"],
  })
}
