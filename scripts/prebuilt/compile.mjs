// Compiles the native part of @demiflow/sys for one machine.
import { execFileSync } from "node:child_process"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { problemsOfAddon, problemsOfProgram } from "./check.mjs"
import { addon, programs } from "./targets.mjs"
import { environmentOf, muslRoot } from "./toolchain.mjs"

const root = fileURLToPath(new URL("../..", import.meta.url))
const cache = join(root, "node_modules/.cache/demiflow-prebuilt")
const build = join(root, "packages/sys/native/build.mjs")

/**
 * Returns what is wrong with the files: one sentence each.
 * @param {string} folder
 * @param {import("./targets.mjs").Target} target
 */
export function compile(folder, target) {
  for (const [isAddon, names] of /** @type {const} */ ([
    [true, [addon]],
    [false, programs],
  ])) {
    const only = names.flatMap((name) => ["--only", name])
    const { CC, CFLAGS } = environmentOf(target, isAddon, cache)
    execFileSync(process.execPath, [build, "--force", "--output", join(folder, addon), ...only], {
      env: { ...process.env, CC, CFLAGS: `-Werror -s ${CFLAGS}` },
      stdio: "inherit",
    })
  }
  return [
    ...problemsOfAddon(join(folder, addon), target, cache),
    ...programs.flatMap((name) => problemsOfProgram(join(folder, name))),
  ]
}

/**
 * The licence of the C library in a target's programs.
 * @param {import("./targets.mjs").Target} target
 */
export function noticeOf(target) {
  return join(muslRoot(target, cache), "usr/share/doc/musl-dev/copyright")
}
