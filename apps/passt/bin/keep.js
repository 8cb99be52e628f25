"use strict"
const { existsSync } = require("node:fs")
const { join } = require("node:path")

// When the repository is installed, nothing is built yet.
const keep = join(__dirname, "..", "dist", "keep.cjs")
if (existsSync(keep)) require(keep)
