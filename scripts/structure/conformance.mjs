// Checks that docs/conformance.md is what the sources say, and that a test holds each MUST that they cite.
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { conformancePage, missingIn } from "../conformance/page.mjs"
import { readConformance } from "../conformance/read.mjs"

/**
 * The problems of the repository at `root`, one sentence each; none if all is well.
 * @param {string} root
 * @returns {string[]}
 */
export function checkConformance(root) {
  const found = readConformance(root)
  const page = join(root, "docs/conformance.md")
  const isStale = !existsSync(page) || readFileSync(page, "utf8") !== conformancePage(found)
  return [...missingIn(found), ...(isStale ? ["docs/conformance.md is stale: npm run conformance"] : [])]
}
