"use strict"
const { existsSync } = require("node:fs")
const { join } = require("node:path")

const dist = join(__dirname, "..", "dist")
// Started by the program itself, with the bundle to run; or loaded by the command that the user started.
const bundle = require.main === module ? process.argv[2] : join(dist, "main.cjs")
if (existsSync(bundle)) {
  // Errors that the user can fix are reported by the bundle; an error here would be ours.
  require(join(dist, "run.cjs")).runBundle(bundle)
} else {
  process.stderr.write("pasta: not built yet: run `npm ci && npm run build` in the demiflow repository\n")
  process.exitCode = 1
}
