// npm run release: builds and publishes, unless the packages would name addresses that don't exist.
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { placeholders } from "../metadata/metadata.mjs"

const root = fileURLToPath(new URL("../..", import.meta.url))
const missing = placeholders(JSON.parse(readFileSync(join(root, "package.json"), "utf8")))
if (missing.length > 0) {
  console.error(
    `Not published: ${missing.join(", ")} of package.json are placeholders. Write the public addresses there, ` +
      "and run: npm run metadata",
  )
  process.exit(1)
}
for (const [file, ...parameters] of [
  ["npm", "run", "check"],
  ["npm", "run", "build"],
  [process.execPath, fileURLToPath(new URL("publish.mjs", import.meta.url))],
]) {
  const { status } = spawnSync(file, parameters, { cwd: root, stdio: "inherit" })
  if (status !== 0) process.exit(status ?? 1)
}
