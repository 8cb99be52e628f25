// Debian packages for i386, on a machine of any architecture: fetched and unpacked in a folder. Nothing is installed, and
// the machine's own lists of packages stay as they are.
import { execFileSync, spawnSync } from "node:child_process"
import { mkdirSync } from "node:fs"
import { join } from "node:path"

/**
 * Downloads packages, and unpacks them in `folder`. Of a package that only depends on the newest version of another, the
 * other one is named with `newest`.
 * @param {string} folder
 * @param {{ names: readonly string[], newest: readonly string[] }} packages
 */
export function unpackPackages(folder, { names, newest }) {
  const lists = join(folder, "lists")
  const archives = join(folder, "archives")
  for (const each of [lists, archives]) mkdirSync(join(each, "partial"), { recursive: true })
  const options = {
    "APT::Architecture": "i386",
    "APT::Architectures": "i386",
    "APT::Sandbox::User": process.getuid?.() === 0 ? "root" : "",
    "Acquire::Languages": "none",
    "Dir::State::Lists": lists,
    "Dir::Cache": archives,
  }
  const words = Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`])
  /** @type {(program: string, ...argv: string[]) => string} */
  const apt = (program, ...argv) =>
    execFileSync(program, [...words, ...argv], {
      cwd: archives,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    })
  // A source that fails is no harm while another has the packages.
  const { stderr } = spawnSync("apt-get", [...words, "update", "-qq"], { encoding: "utf8" })
  try {
    const found = newest.map((name) => {
      const [, dependency] = /Depends: (\S+)/.exec(apt("apt-cache", "depends", "--important", name)) ?? []
      if (dependency === undefined) throw new Error(`apt knows no package ${name} for i386`)
      return dependency
    })
    apt("apt-get", "download", "-qq", ...names, ...found)
  } catch (cause) {
    throw new Error(`Debian's packages can't be fetched.\n${stderr}`, { cause })
  }
  execFileSync("sh", ["-euc", 'for each in ./*.deb; do dpkg-deb -x "$each" "$1"; done', "sh", folder], {
    cwd: archives,
  })
}
