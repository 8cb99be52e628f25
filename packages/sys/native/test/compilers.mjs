// Compiles the addon with each common compiler, treating warnings as errors, and with the hardening and optimization
// that distributions use; runs exercise.mjs with each binary.
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const folder = dirname(fileURLToPath(import.meta.url))
const compilers = ["gcc", "clang"]
const variants = ["", "-O3 -flto -D_FORTIFY_SOURCE=2 -fstack-protector-strong", "-O0"]

const seed = String(process.env.SEED ?? Date.now() % 0x7fffffff)
process.stdout.write(`SEED=${seed}\n`)
const binaries = mkdtempSync(join(tmpdir(), "demiflow-compilers-"))
const node = (argv, environment) =>
  spawnSync(process.execPath, argv, { stdio: "inherit", env: { ...process.env, ...environment } }).status === 0
try {
  for (const CC of compilers) {
    for (const CFLAGS of variants) {
      const addon = join(binaries, `${CC}.node`)
      const works =
        node([join(folder, "..", "build.mjs"), "--force", "--output", addon], { CC, CFLAGS }) &&
        node([join(folder, "exercise.mjs"), addon, seed])
      process.stdout.write(`${works ? "passed" : "FAILED"}: ${CC} ${CFLAGS}\n`)
      if (!works) process.exitCode = 1
    }
  }
} finally {
  rmSync(binaries, { recursive: true })
}
