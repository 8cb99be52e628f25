// Compiles the addon and the programs beside it with each compiler that people have, treating warnings as errors, and
// with the hardening and optimization that distributions use. Checks which C library the files need, and runs
// exercise.mjs with each addon that fits this machine. Compilers for machines that are not supported must be refused.
import assert from "node:assert/strict"
import { execFileSync, spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const folder = dirname(fileURLToPath(import.meta.url))
const build = join(folder, "..", "build.mjs")
const likeDistributions = "-O3 -flto -D_FORTIFY_SOURCE=2 -fstack-protector-strong"

const compilations = [
  ...["gcc", "clang"].flatMap((CC) => ["", likeDistributions, "-O0"].map((CFLAGS) => ({ CC, CFLAGS, runs: true }))),
  { CC: "ccache gcc", CFLAGS: "", runs: true },
  { CC: "musl-gcc", CFLAGS: "" },
  { CC: "musl-gcc", CFLAGS: "-O3 -flto" },
  { CC: "aarch64-linux-gnu-gcc", CFLAGS: "" },
  { CC: "aarch64-linux-gnu-gcc", CFLAGS: likeDistributions },
]

/** Compilers for machines that are not supported, and the one line that says so. */
const refusals = [
  {
    CC: "gcc -m32",
    line: /^@demiflow\/sys: this package is for 64-bit processors, and `gcc -m32` compiles for 32 bits\n$/,
  },
  { CC: "clang --target=s390x-linux-gnu", line: /^@demiflow\/sys: this package is for little-endian processors.*\n$/ },
  { CC: "no-such-compiler", line: /^@demiflow\/sys: no C compiler: `no-such-compiler` was not found.*\n$/ },
]

/** Libraries that a file needs, as the dynamic linker reads them, but the linker itself: a part of the C library. */
function librariesOf(file) {
  const text = execFileSync("readelf", ["-d", file], { encoding: "utf8" })
  return [...text.matchAll(/\(NEEDED\).*\[(.*)\]/g)]
    .map(([, library]) => library)
    .filter((library) => !library.startsWith("ld-"))
}

function node(argv, environment, stdio = "inherit") {
  return spawnSync(process.execPath, argv, { stdio, encoding: "utf8", env: { ...process.env, ...environment } })
}

/** Says whether everything holds for one compilation. */
function works({ CC, CFLAGS, runs = false }, binaries, seed) {
  const library = CC.startsWith("musl") ? "libc.so" : "libc.so.6"
  const addon = join(binaries, "demiflow.node")
  if (node([build, "--force", "--output", addon], { CC, CFLAGS: `-Werror ${CFLAGS}` }).status !== 0) return false
  const needed = readdirSync(binaries).map((name) => [name, ...librariesOf(join(binaries, name))])
  try {
    assert.deepEqual(needed, [
      ["become", library],
      ["demiflow.node", library],
      ["namespace-helper", library],
    ])
  } catch (error) {
    process.stderr.write(`${error}\n`)
    return false
  }
  return !runs || node([join(folder, "exercise.mjs"), addon, seed]).status === 0
}

const seed = String(process.env.SEED ?? Date.now() % 0x7fffffff)
process.stdout.write(`SEED=${seed}\n`)
for (const compilation of compilations) {
  const binaries = mkdtempSync(join(tmpdir(), "demiflow-compilers-"))
  const passed = works(compilation, binaries, seed)
  rmSync(binaries, { recursive: true })
  process.stdout.write(`${passed ? "passed" : "FAILED"}: ${compilation.CC} ${compilation.CFLAGS}\n`)
  if (!passed) process.exitCode = 1
}
for (const { CC, line } of refusals) {
  const output = join(tmpdir(), `demiflow-refused-${process.pid}`, "demiflow.node")
  const { status, stderr } = node([build, "--force", "--output", output], { CC, CFLAGS: "" }, "pipe")
  const passed = status === 1 && line.test(stderr)
  process.stdout.write(`${passed ? "passed" : `FAILED: ${stderr}`}: ${CC} is refused\n`)
  if (!passed) process.exitCode = 1
}
