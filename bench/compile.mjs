import { spawnSync } from "node:child_process"
import { readdirSync } from "node:fs"
import { join } from "node:path"

/**
 * Compiles a program of C. Returns a sentence if it can't.
 * @param {string} sources A folder.
 * @param {string} program
 * @returns {string | undefined}
 */
export function compile(sources, program) {
  const files = readdirSync(sources).filter((name) => name.endsWith(".c"))
  const words = ["-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-pthread", "-o", program]
  const { status, stderr } = spawnSync("cc", [...words, ...files.map((name) => join(sources, name))], {
    encoding: "utf8",
  })
  return status === 0 ? undefined : `${sources} can't be compiled (on Debian: apt-get install gcc libc6-dev)\n${stderr}`
}
