// npm run examples: runs every program in examples/, each through a script of its package.json: `start`, or `trial` for one
// that doesn't end by itself. They fail with a status other than 0. Build first.
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { workspaces } from "../structure/packages.mjs"

const timeLimit = 60_000
const root = fileURLToPath(new URL("../..", import.meta.url))
const examples = workspaces(root).filter(({ folder }) => folder.startsWith("examples/"))

const failed = examples.filter(({ folder }) => {
  console.log(`\n== ${folder}`)
  const { scripts } = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"))
  const script = "trial" in scripts ? "trial" : "start"
  const { status, error } = spawnSync("npm", ["run", "--silent", script], {
    cwd: join(root, folder),
    stdio: ["ignore", "inherit", "inherit"],
    timeout: timeLimit,
  })
  if (status !== 0) console.log(`== ${folder} failed: ${error?.message ?? `status ${status}`}`)
  return status !== 0
})
console.log(`\n${examples.length - failed.length} examples passed, ${failed.length} failed`)
process.exitCode = failed.length === 0 ? 0 : 1
