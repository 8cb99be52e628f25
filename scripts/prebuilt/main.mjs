// npm run build:prebuilt -- FOLDER: compiles the native part of @demiflow/sys for all machines that have a package of
// their own, and makes these packages, one folder each. Needs the compilers of scripts/debian-packages.txt.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { compile, noticeOf } from "./compile.mjs"
import { manifestOf, packageName, targets } from "./targets.mjs"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** @param {import("./targets.mjs").Target} target */
function readme(target) {
  const { architecture, libc } = target
  return `# ${packageName(target)}

The native part of \`@demiflow/sys\` for Linux on ${architecture}, compiled for ${libc === "gnu" ? "glibc 2.28" : "musl"} or later. It is
installed with \`@demiflow/sys\`, where it fits, and of no use alone.

The programs \`become\` and \`namespace-helper\` contain musl, a C library: its licence is in NOTICE.

## Licence

MIT
`
}

const [folder] = process.argv.slice(2)
if (folder === undefined) throw new Error("The folder for the packages is missing")
/** @type {string[]} */
const problems = []
for (const target of targets) {
  const output = resolve(folder, packageName(target).replace("@demiflow/", ""))
  mkdirSync(output, { recursive: true })
  problems.push(...compile(output, target))
  writeFileSync(join(output, "package.json"), `${JSON.stringify(manifestOf(root, target), null, 2)}\n`)
  writeFileSync(join(output, "README.md"), readme(target))
  writeFileSync(join(output, "NOTICE"), readFileSync(noticeOf(target)))
  copyFileSync(join(root, "LICENSE"), join(output, "LICENSE"))
}
for (const problem of problems) console.error(problem)
process.exitCode = problems.length === 0 ? 0 : 1
