// npm run check: the rules about the repository itself that no compiler checks.
import { fileURLToPath } from "node:url"
import { checkConformance } from "./conformance.mjs"
import { checkDocuments } from "./documents.mjs"
import { checkImports } from "./imports.mjs"
import { checkNames } from "./names.mjs"
import { checkPackages } from "./packages.mjs"
import { checkProse } from "./prose.mjs"
import { checkTour } from "./tour.mjs"
import { checkTrackedFiles } from "./tracked-files.mjs"

const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "")
const problems = [
  checkConformance,
  checkDocuments,
  checkImports,
  checkNames,
  checkPackages,
  checkProse,
  checkTour,
  checkTrackedFiles,
].flatMap((check) => check(root))
for (const problem of problems) console.error(problem)
console.log(problems.length === 0 ? "The structure is as it should be." : `${problems.length} problems.`)
process.exitCode = problems.length === 0 ? 0 : 1
