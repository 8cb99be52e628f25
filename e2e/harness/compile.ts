/** The few programs of the tests that are written in C, compiled once per run. */
import { execFileSync } from "node:child_process"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { isInstalled, repository, sharedFolder } from "./machine.ts"

const sources = ["wire/wire.c", "stand-in/stand-in.c"]

export function compilePrograms(): void {
  if (!isInstalled("cc")) return
  const folder = join(sharedFolder(), "bin")
  mkdirSync(folder, { recursive: true })
  for (const source of sources) {
    const name = source.replace(/^.*\//, "").replace(/\.c$/, "")
    execFileSync("cc", ["-O2", "-Wall", "-Wextra", "-o", join(folder, name), join(repository, "e2e", source)], {
      stdio: "inherit",
    })
  }
}

/** The path of a compiled program, by the name of its source. */
export function compiled(name: string): string {
  return join(sharedFolder(), "bin", name)
}
