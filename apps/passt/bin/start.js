"use strict"
const { existsSync } = require("node:fs")
const { join } = require("node:path")

const main = join(__dirname, "..", "dist", "main.cjs")
if (existsSync(main)) {
  // An error here would be one of ours: main.cjs reports what the user can do something about.
  require(main)
} else {
  process.stderr.write("passt: not built yet: run `npm ci && npm run build` in the demiflow repository\n")
  process.exitCode = 1
}
