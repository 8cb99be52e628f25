// npm run check: the rules about the repository itself that no compiler knows.
import { fileURLToPath } from "node:url"
import { checkImports } from "./imports.mjs"
import { checkPackages } from "./packages.mjs"
import { checkTrackedFiles } from "./tracked-files.mjs"

const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "")
const problems = [checkImports, checkPackages, checkTrackedFiles].flatMap((check) => check(root))
for (const problem of problems) console.error(problem)
console.log(problems.length === 0 ? "The structure is as it should be." : `${problems.length} problems.`)
process.exitCode = problems.length === 0 ? 0 : 1
