// How a target is compiled with Debian's compilers.
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"

/**
 * The addon brings no C library and names no version of its functions: the runtime that loads it has them all. So it
 * loads with each version that has functions of these names. `-z now`: a function that is missing is noticed at once.
 */
const addonFlags = "-nostdlib -Wl,-z,now -lgcc"

/** The programs bring their C library: Debian's musl, whose licence permits that. */
const programFlags = "-static"

/**
 * The folder of Debian's package musl-dev for an architecture: the root of the file system if it is installed. Otherwise
 * it is fetched, which needs neither root nor a foreign architecture in dpkg, and kept in `cache`.
 * @param {import("./targets.mjs").Target} target
 * @param {string} cache
 */
export function muslRoot({ debian, machine }, cache) {
  if (existsSync(`/usr/lib/${machine}-linux-musl/musl-gcc.specs`)) return "/"
  const folder = join(cache, `musl-${debian}`)
  if (existsSync(folder)) return folder
  mkdirSync(cache, { recursive: true })
  const unfinished = mkdtempSync(join(cache, "unfinished-"))
  for (const name of ["state/lists/partial", "cache/archives/partial"]) {
    mkdirSync(join(unfinished, name), { recursive: true })
  }
  writeFileSync(join(unfinished, "status"), "")
  const options = [
    `APT::Architecture=${debian}`,
    `APT::Architectures=${debian}`,
    `Dir::State=${unfinished}/state`,
    `Dir::State::status=${unfinished}/status`,
    `Dir::Cache=${unfinished}/cache`,
    // As root, apt would change to a user who can't write here.
    "APT::Sandbox::User=root",
  ].flatMap((option) => ["-o", option])
  /** @param {readonly string[]} command */
  const aptGet = (command) =>
    execFileSync("apt-get", [...options, "-qq", ...command], {
      cwd: unfinished,
      stdio: ["ignore", "ignore", "inherit"],
    })
  aptGet(["update"])
  aptGet(["download", `musl-dev:${debian}`, `musl:${debian}`])
  execFileSync("sh", ["-euc", "mkdir root; for package in *.deb; do dpkg-deb -x $package root; done"], {
    cwd: unfinished,
  })
  renameSync(join(unfinished, "root"), folder)
  rmSync(unfinished, { recursive: true })
  return folder
}

/**
 * CC and CFLAGS for one of a target's files.
 * @param {import("./targets.mjs").Target} target
 * @param {boolean} isAddon
 * @param {string} cache
 */
export function environmentOf(target, isAddon, cache) {
  const compiler = `${target.machine}-linux-gnu-gcc`
  const flags = isAddon ? addonFlags : programFlags
  if (isAddon && target.libc === "gnu") return { CC: compiler, CFLAGS: flags }
  return { CC: `${compiler} -specs ${muslSpecs(target, cache)}`, CFLAGS: flags }
}

/**
 * A file that makes gcc use musl: Debian's, with the paths of where musl is.
 * @param {import("./targets.mjs").Target} target
 * @param {string} cache
 */
function muslSpecs(target, cache) {
  const root = muslRoot(target, cache)
  const text = readFileSync(join(root, `usr/lib/${target.machine}-linux-musl/musl-gcc.specs`), "utf8")
  mkdirSync(cache, { recursive: true })
  const file = join(cache, `musl-${target.debian}.specs`)
  writeFileSync(
    file,
    text.replaceAll(" /usr/", ` ${join(root, "usr")}/`).replaceAll("-L/usr/", `-L${join(root, "usr")}/`),
  )
  return file
}
