"use strict"
const { existsSync } = require("node:fs")
const { join } = require("node:path")
const { pathToFileURL } = require("node:url")

const main = join(__dirname, "..", "dist", "main.js")
if (existsSync(main)) {
  // An error here would be one of ours: main.js reports what the user can do something about.
  import(pathToFileURL(main).href)
} else {
  process.stderr.write("pasta: not built yet: run `npm ci && npm run build` in the demiflow repository\n")
  process.exitCode = 1
}
