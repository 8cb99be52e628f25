/** Builds a root folder from the files of Debian packages that are installed here, with their dependencies. */
import { existsSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { mustRun } from "../harness/processes.ts"

/** Folders that programs don't need. */
const left = /^\/usr\/share\/(doc|doc-base|info|locale|man|lintian|bug|perl)\b/

/** Files that the packages' scripts create, so that no package lists them. */
const generated = ["/etc/alternatives", "/etc/group", "/etc/ld.so.cache", "/etc/nsswitch.conf", "/etc/passwd"]

interface Package {
  readonly name: string
  readonly isEssential: boolean
  /** The package's own name, and the names that it provides. */
  readonly provides: readonly string[]
  /** Each dependency is a list of alternatives. */
  readonly depends: readonly (readonly string[])[]
}

/** "a (>= 1) | b:any, c" without versions and architectures. */
const names = (field: string): readonly (readonly string[])[] =>
  field.split(",").map((choice) => choice.split("|").map((name) => name.trim().replace(/[\s:(].*$/, "")))

async function installedPackages(): Promise<readonly Package[]> {
  const fields = ["Package", "Essential", "Provides", "Pre-Depends", "Depends"].map((field) => `\${${field}}`)
  const lines = (await mustRun(["dpkg-query", "-W", "-f", `${fields.join("\\t")}\\n`])).trim().split("\n")
  return lines.map((line) => {
    const [name = "", essential = "", provides = "", before = "", after = ""] = line.split("\t")
    const depends = [...names(before), ...names(after)]
    return { name, isEssential: essential === "yes", provides: [name, ...names(provides).flat()], depends }
  })
}

/** Names of these packages, of the essential ones, and of all that they depend on. */
async function closure(wanted: readonly string[]): Promise<ReadonlySet<string>> {
  const installed = await installedPackages()
  const byName = new Map(installed.flatMap((each) => each.provides.map((name) => [name, each] as const)))
  for (const each of installed) byName.set(each.name, each)
  const missing = wanted.filter((name) => !byName.has(name))
  if (missing.length > 0) throw new Error(`not installed: ${missing.join(", ")}`)
  const found = new Set<string>()
  const visit = (each: Package | undefined): void => {
    if (each === undefined || found.has(each.name)) return
    found.add(each.name)
    for (const choice of each.depends) visit(choice.map((name) => byName.get(name)).find(Boolean))
  }
  for (const name of wanted) visit(byName.get(name))
  for (const each of installed) if (each.isEssential) visit(each)
  return found
}

/** Copies files and folders to the same paths in the tree. */
export async function copyFiles(from: string, to: string, paths: readonly string[], options = ""): Promise<void> {
  const list = `${to}.list`
  writeFileSync(list, paths.map((path) => `./${path.replace(/^\/+/, "")}\n`).join(""))
  const script = `tar -C "$1" -c ${options} --files-from "$3" | tar -C "$2" -x --keep-directory-symlink`
  await mustRun(["bash", "-euo", "pipefail", "-c", script, "bash", from, to, list])
}

/** Puts the files of these packages and these programs into a folder. */
export async function copySystem(
  folder: string,
  packages: readonly string[],
  programs: readonly string[],
): Promise<void> {
  for (const name of ["bin", "lib", "lib64", "sbin"]) {
    mkdirSync(join(folder, "usr", name), { recursive: true })
    symlinkSync(`usr/${name}`, join(folder, name))
  }
  for (const name of ["dev", "proc", "root", "run", "sys", "tmp"]) mkdirSync(join(folder, name))
  const listed = (await mustRun(["dpkg-query", "-L", ...(await closure(packages))])).split("\n")
  const libraries = [...(await mustRun(["ldd", ...programs])).matchAll(/(\/\S+) \(0x/g)].map(([, path = ""]) => path)
  const wanted = [...listed, ...programs, ...libraries].filter((path) => path.startsWith("/") && !left.test(path))
  // Packages list files through /bin and /lib, which are links.
  const paths = wanted
    .filter((path) => existsSync(path))
    .map((path) => join(realpathSync(dirname(path)), basename(path)))
  const directories = /^\/(bin|lib|lib64|sbin|dev|proc|root|run|sys|tmp|\.)?$/
  await copyFiles("/", folder, [...new Set(paths.filter((path) => !directories.test(path)))], "--no-recursion")
  await copyFiles("/", folder, generated)
  const chosen = await mustRun(["find", "/usr/bin", "/usr/sbin", "-lname", "/etc/alternatives/*"])
  await copyFiles("/", folder, chosen.trim().split("\n"))
}
