/** The programs of the tests that are written in C, compiled once per run. */
import { execFileSync } from "node:child_process"
import { mkdirSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { SLOWNESS } from "./limits.ts"
import { isInstalled, repository, sharedFolder } from "./machine.ts"

/** The sources of each program, by its name: files, or folders of them. */
const programs: Readonly<Record<string, readonly string[]>> = {
  wire: ["e2e/wire"],
  "stand-in": ["e2e/stand-in"],
  "vhost-stand-in": ["e2e/vhost-stand-in"],
  traffic: ["e2e/traffic", "bench/traffic/util.c"],
}

function sourcesOf(path: string): readonly string[] {
  if (path.endsWith(".c")) return [join(repository, path)]
  const names = readdirSync(join(repository, path)).filter((name) => name.endsWith(".c"))
  return names.map((name) => join(repository, path, name))
}

export function compilePrograms(): void {
  if (!isInstalled("cc")) return
  const folder = join(sharedFolder(), "bin")
  mkdirSync(folder, { recursive: true })
  for (const [name, paths] of Object.entries(programs)) {
    const options = ["-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-pthread", `-DSLOWNESS=${SLOWNESS}`]
    execFileSync("cc", [...options, "-o", join(folder, name), ...paths.flatMap(sourcesOf)], { stdio: "inherit" })
  }
}

/** The path of a compiled program, by its name. */
export function compiled(name: string): string {
  return join(sharedFolder(), "bin", name)
}
