// Builds the addon with AddressSanitizer and UndefinedBehaviorSanitizer and runs exercise.mjs with it; builds the
// programs in `rings` with the same files as the addon, and runs them. Fails on any report.
//
// Why sanitizers and not valgrind: they take a third of a second instead of ten, notice an access one byte beyond an
// ArrayBuffer, and know the system calls that valgrind doesn't (pidfd_open, epoll_pwait2). Node is not built with them,
// so the sanitizer's runtime is preloaded, and leaks are not checked: V8 doesn't free its memory at exit.
import { execFileSync, spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const folder = dirname(fileURLToPath(import.meta.url))
const addon = join(folder, "..", "..", "build", "sanitized", "demiflow.node")
const compiler = process.env.CC ?? "cc"
const sanitizers = "-Werror -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined"

function fail(message) {
  process.stderr.write(`test:native: ${message}\n`)
  process.exit(1)
}

function run(command, options, environment) {
  const { status, signal } = spawnSync(command, options, { stdio: "inherit", env: { ...process.env, ...environment } })
  if (status !== 0) fail(`${signal ?? `exit status ${status}`}; the report is above`)
}

const runtime = execFileSync(compiler, ["-print-file-name=libasan.so"], { encoding: "utf8" }).trim()
if (!existsSync(runtime)) fail(`\`${compiler}\` has no AddressSanitizer; install its libasan package`)

run(process.execPath, [join(folder, "..", "build.mjs"), "--output", addon], { CFLAGS: sanitizers })
const seed = String(process.env.SEED ?? Date.now() % 0x7fffffff)
process.stdout.write(`SEED=${seed}\n`)
run(process.execPath, [join(folder, "exercise.mjs"), addon, seed], {
  LD_PRELOAD: runtime,
  ASAN_OPTIONS: "detect_leaks=0",
})

/** Files of the addon that need nothing of Node.js. */
const rings = ["chain", "guest-memory", "ring"].map((name) => join(folder, "..", "rings", `${name}.c`))

/** Builds a program from sources in `rings`, and runs it. */
function runProgram(name, sources, parameters) {
  const program = join(dirname(addon), name)
  const own = sources.map((source) => join(folder, "rings", source))
  const flags = ["-std=gnu11", "-Wall", "-Wextra", "-pthread", ...sanitizers.split(" ")]
  run(compiler, [...flags, ...own, ...rings, "-o", program])
  run(program, parameters)
}

runProgram("faults", ["faults.c"], [])
const seconds = process.env.FUZZ_SECONDS ?? "15"
runProgram("fuzz", ["fuzz.c", "hostile-guest.c"], [join(folder, "rings", "seeds.txt"), seconds, seed])
