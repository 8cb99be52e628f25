// npm run metadata: writes into every published package.json what the packages share. `npm run check` compares.
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { workspaces } from "../structure/packages.mjs"
import { textOf, withMetadata } from "./metadata.mjs"

const root = fileURLToPath(new URL("../..", import.meta.url))
const repository = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
for (const { folder, manifest } of workspaces(root)) {
  if (manifest.private) continue
  const file = join(root, folder, "package.json")
  const text = textOf(withMetadata(repository, folder, manifest))
  if (text === readFileSync(file, "utf8")) continue
  writeFileSync(file, text)
  console.log(`written: ${folder}/package.json`)
}
