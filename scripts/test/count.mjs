// node count.mjs FILE: prints how many tests passed, failed and were skipped, according to vitest's JSON reporter.
import { readFileSync } from "node:fs"
import { countTests } from "./results.mjs"

const { passed, failed, skipped } = countTests(JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")))
console.log(passed, failed, skipped)
