// npm run test:withheld: runs the core of the end-to-end tests as on kernels without SO_PEEK_OFF for TCP over IPv4,
// over IPv6 (Linux 6.9 to 6.11), and over both, whatever this kernel supports. A library that is preloaded into the
// commands withholds the option.
import { execFileSync, spawnSync } from "node:child_process"
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../..", import.meta.url))
const folder = mkdtempSync(join(tmpdir(), "demiflow-withheld-"))
// An ordinary user also starts the commands.
chmodSync(folder, 0o755)
const library = join(folder, "peek-offset.so")

/**
 * Replaces a command by one with the library.
 * @param {string} command
 * @param {string} versions
 */
function wrapped(command, versions) {
  const path = join(folder, `${command}-${versions}`)
  const lines = [
    "#!/bin/sh",
    `export LD_PRELOAD='${library}' WITHHELD=${versions}`,
    `exec '${root}apps/${command}/bin/${command}' "$@"`,
  ]
  writeFileSync(path, `${lines.join("\n")}\n`, { mode: 0o755 })
  return path
}

/** @param {string} versions */
function probe(versions) {
  const env = { ...process.env, LD_PRELOAD: library, WITHHELD: versions }
  return execFileSync(process.execPath, [join(import.meta.dirname, "probe.mjs")], { encoding: "utf8", env }).trim()
}

/** @param {string} versions */
function runCore(versions) {
  const env = { ...process.env, DEMIFLOW_PASTA: wrapped("pasta", versions), DEMIFLOW_PASST: wrapped("passt", versions) }
  // The tests of assumptions about the kernel don't use the commands.
  const argv = ["run", "--config", "e2e/core.vitest.config.ts", "--exclude", "platform/**"]
  return spawnSync(join(root, "node_modules/.bin/vitest"), argv, { cwd: root, stdio: "inherit", env }).status === 0
}

try {
  execFileSync("cc", [
    "-shared",
    "-fPIC",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-o",
    library,
    join(import.meta.dirname, "peek-offset.c"),
  ])
  for (const versions of ["4", "6", "46"]) {
    console.log(`\n== Without SO_PEEK_OFF for TCP over IPv${[...versions].join(" and IPv")}`)
    const withheld = probe(versions)
    if (![...versions].every((version) => withheld.includes(version))) {
      throw new Error(`withheld for "${withheld}" instead of "${versions}"`)
    }
    if (!runCore(versions)) process.exitCode = 1
  }
} finally {
  rmSync(folder, { recursive: true })
}
