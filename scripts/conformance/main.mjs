// npm run conformance: writes docs/conformance.md.
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { conformancePage, missingIn } from "./page.mjs"
import { readConformance } from "./read.mjs"

const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "")
const found = readConformance(root)
const missing = missingIn(found)
for (const problem of missing) console.error(problem)
writeFileSync(join(root, "docs/conformance.md"), conformancePage(found))
process.exitCode = missing.length === 0 ? 0 : 1
