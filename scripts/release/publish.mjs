// Publishes the archives that `npm run pack` makes, and tags the commit.
import { execFileSync } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { publishArchives } from "./archives.mjs"

const pack = fileURLToPath(new URL("../pack/main.mjs", import.meta.url))
const folder = mkdtempSync(join(tmpdir(), "demiflow-release-"))
try {
  execFileSync(process.execPath, [pack, folder], { stdio: "inherit" })
  const published = await publishArchives(readdirSync(folder).map((name) => join(folder, name)))
  console.log(`Published: ${published.join(", ") || "nothing"}`)
  execFileSync("npx", ["changeset", "tag"], { stdio: "inherit" })
} finally {
  rmSync(folder, { recursive: true })
}
