// Publishes the archives that `npm run pack` makes: what has been published already is left out.
import { spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { manifestIn } from "../pack/manifest.mjs"

const pack = fileURLToPath(new URL("../pack/main.mjs", import.meta.url))

/** @param {readonly string[]} command */
function run([file = "", ...parameters]) {
  const { status } = spawnSync(file, parameters, { stdio: "inherit" })
  if (status !== 0) throw new Error(`${file} ${parameters.join(" ")}: status ${status}`)
}

const folder = mkdtempSync(join(tmpdir(), "demiflow-release-"))
try {
  run([process.execPath, pack, folder])
  const archives = readdirSync(folder).map((name) => join(folder, name))
  // Those with the native part come first, for an installation of @demiflow/sys at this very moment.
  for (const archive of archives.sort(
    (a, b) => Number(b.includes("-sys-linux-")) - Number(a.includes("-sys-linux-")),
  )) {
    const { name, version } = manifestIn(archive)
    const { stdout } = spawnSync("npm", ["view", `${name}@${version}`, "version"], { encoding: "utf8" })
    if (stdout.trim() !== version) run(["npm", "publish", "--access", "public", archive])
  }
  run(["npx", "changeset", "tag"])
} finally {
  rmSync(folder, { recursive: true })
}
