// npm test: builds the commands, then runs every test: units and simulations, then end to end on this machine's kernel.
// The end-to-end tests run even if the first kind fails, so that one run reports everything.
//
//   --report FOLDER   also writes vitest's results there, as unit.json and e2e.json
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"

const root = fileURLToPath(new URL("../..", import.meta.url))
const { values: options } = parseArgs({ options: { report: { type: "string" } } })

/**
 * @param {string} title
 * @param {readonly string[]} command
 */
function step(title, [file = "", ...parameters]) {
  console.log(`\n== ${title}`)
  return spawnSync(file, parameters, { cwd: root, stdio: "inherit" }).status === 0
}

/** @param {string} name */
function reporters(name) {
  if (options.report === undefined) return []
  return ["--reporter=default", "--reporter=json", `--outputFile.json=${join(options.report, `${name}.json`)}`]
}

const quiet = join(root, "scripts/quiet/main.mjs")
const vitest = join(root, "node_modules", ".bin", "vitest")
const passed =
  step("Build", [process.execPath, quiet, "The commands", "npm", "run", "build:commands"]) &&
  [
    step("Units and simulations", [vitest, "run", ...reporters("unit")]),
    step("End to end, on this kernel", [vitest, "run", "--config", "e2e/vitest.config.ts", ...reporters("e2e")]),
  ].every(Boolean)
process.exitCode = passed ? 0 : 1
