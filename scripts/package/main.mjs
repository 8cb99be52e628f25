// npm run package [-- FOLDER]: makes `pasta` and `passt` as single executables for this machine, with the licences of
// what is in them, and Debian packages of both. By default in `dist`. Nothing has to be built before. Needs the
// compiler and the tools of scripts/debian-packages.txt.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { makeDebianPackage } from "./debian.mjs"
import { makeExecutable, prepare } from "./executable.mjs"

const root = fileURLToPath(new URL("../..", import.meta.url))
// Everybody may read what is made.
process.umask(0o022)
const output = resolve(process.argv[2] ?? join(root, "dist"))
mkdirSync(output, { recursive: true })
const work = mkdtempSync(join(tmpdir(), "demiflow-package-"))
try {
  const parts = await prepare(work)
  const notice = Object.entries(parts.licences)
    .map(([title, file]) => `${title}\n${"=".repeat(title.length)}\n\n${readFileSync(file, "utf8")}`)
    .join("\n\n")
  writeFileSync(join(output, "NOTICE"), notice)
  for (const name of ["pasta", "passt"]) {
    const executable = join(output, name)
    await makeExecutable(parts, name, executable)
    console.log(executable)
    console.log(makeDebianPackage(name, executable, notice, work, output))
  }
} finally {
  rmSync(work, { recursive: true })
}
