"use strict"
const { existsSync } = require("node:fs")
const { join } = require("node:path")

const dist = join(__dirname, "..", "dist")
// Started by the program itself, with the bundle to run; or loaded by what the user has started.
const bundle = require.main === module ? process.argv[2] : join(dist, "main.cjs")
if (existsSync(bundle)) {
  // An error here would be one of ours: the bundle reports what the user can do something about.
  require(join(dist, "run.cjs")).runBundle(bundle)
} else {
  process.stderr.write("passt: not built yet: run `npm ci && npm run build` in the demiflow repository\n")
  process.exitCode = 1
}
