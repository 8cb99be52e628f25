// Checks what compiled files need from the machine that they will run on.
import { execFileSync } from "node:child_process"
import { join } from "node:path"
import { muslRoot } from "./toolchain.mjs"

/** The oldest glibc that Node.js 20 and later run with. */
const oldestGlibc = [2, 28]

/**
 * The dynamic symbols of a file: name, version if any, whether the file itself has it, and whether it may be missing.
 * @param {string} file
 */
function symbolsOf(file) {
  const text = execFileSync("readelf", ["--wide", "--dyn-syms", file], { encoding: "utf8" })
  return [...text.matchAll(/^ *\d+: \S+ +\d+ \S+ +(\S+) +\S+ +(\S+) +([^\s@]+)(?:@@?(\S+))?/gm)].map(
    ([, binding, section, name = "", version = ""]) => ({
      name,
      version,
      isDefined: section !== "UND",
      isWeak: binding === "WEAK",
    }),
  )
}

/** @param {string} version as `GLIBC_2.2.5` */
function isOldEnough(version) {
  const [major = 0, minor = 0] = (/^GLIBC_(.*)$/.exec(version)?.[1] ?? "99").split(".").map(Number)
  const [oldestMajor = 0, oldestMinor = 0] = oldestGlibc
  return major < oldestMajor || (major === oldestMajor && minor <= oldestMinor)
}

/**
 * Names of the functions of a target's C library that an addon may call.
 * @param {import("./targets.mjs").Target} target
 * @param {string} cache
 */
function functionsOf(target, cache) {
  const { machine } = target
  if (target.libc === "musl") {
    const library = symbolsOf(join(muslRoot(target, cache), `lib/${machine}-linux-musl/libc.so`))
    return new Set(library.filter(({ isDefined }) => isDefined).map(({ name }) => name))
  }
  const folder = target.architecture === process.arch ? `/lib/${machine}-linux-gnu` : `/usr/${machine}-linux-gnu/lib`
  const library = symbolsOf(join(folder, "libc.so.6"))
  return new Set(library.filter(({ isDefined, version }) => isDefined && isOldEnough(version)).map(({ name }) => name))
}

/** @param {string} file */
function dynamicSection(file) {
  return execFileSync("readelf", ["--wide", "--dynamic", "--program-headers", file], { encoding: "utf8" })
}

/**
 * What is wrong with an addon for a target: one sentence each.
 * @param {string} file
 * @param {import("./targets.mjs").Target} target
 * @param {string} cache
 */
export function problemsOfAddon(file, target, cache) {
  const known = functionsOf(target, cache)
  const problems = dynamicSection(file).includes("(NEEDED)") ? [`${file} needs a library`] : []
  for (const { name, version, isDefined, isWeak } of symbolsOf(file)) {
    if (isDefined || isWeak || /^(?:napi_|node_api_|uv_)/.test(name)) continue
    if (version !== "") problems.push(`${file} needs ${name} of a certain version`)
    if (!known.has(name)) problems.push(`${file} needs ${name}, which ${target.libc} may not have`)
  }
  return problems
}

/**
 * What is wrong with a program: one sentence each.
 * @param {string} file
 */
export function problemsOfProgram(file) {
  return /\(NEEDED\)|INTERP/.test(dynamicSection(file)) ? [`${file} needs a library`] : []
}
