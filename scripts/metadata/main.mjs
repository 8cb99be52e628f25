// npm run metadata: writes into every published package.json what the packages share, and into the README of each
// library how to install it. `npm run check` compares.
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { readmeOf, workspaces } from "../structure/packages.mjs"
import { textOf, withMetadata } from "./metadata.mjs"
import { withInstallSection } from "./readme.mjs"

const root = fileURLToPath(new URL("../..", import.meta.url))
const repository = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

/** @param {string} file @param {string} text */
function write(file, text) {
  if (text === readFileSync(join(root, file), "utf8")) return
  writeFileSync(join(root, file), text)
  console.log(`written: ${file}`)
}

for (const { folder, manifest } of workspaces(root)) {
  if (manifest.private) continue
  write(join(folder, "package.json"), textOf(withMetadata(repository, folder, manifest)))
  const readme = readmeOf(root, folder)
  if (folder.startsWith("packages/") && readme !== undefined) {
    write(join(folder, "README.md"), withInstallSection(manifest, readme))
  }
}
