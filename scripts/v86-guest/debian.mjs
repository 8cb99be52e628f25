// Debian packages for one architecture, on a machine of any: fetched and unpacked in a folder. Nothing is installed,
// and the machine's own lists of packages stay as they are.
import { execFileSync, spawnSync } from "node:child_process"
import { mkdirSync } from "node:fs"
import { join } from "node:path"

/**
 * Downloads packages for an architecture, as Debian names it, and unpacks them in `folder`. Of a package that only
 * depends on the newest version of another, the other one is named with `newest`.
 * @param {string} folder
 * @param {{ architecture: string, names: readonly string[], newest: readonly string[] }} packages
 */
export function unpackPackages(folder, { architecture, names, newest }) {
  const lists = join(folder, "lists")
  const archives = join(folder, "archives")
  for (const each of [lists, archives]) mkdirSync(join(each, "partial"), { recursive: true })
  const options = {
    "APT::Architecture": architecture,
    "APT::Architectures": architecture,
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
      if (dependency === undefined) throw new Error(`apt knows no package ${name} for ${architecture}`)
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
