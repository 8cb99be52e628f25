// node failed.mjs FILE: prints what failed, a line each, according to vitest's JSON reporter: title, and the message's
// first line.
import { readFileSync } from "node:fs"
import { failedTests } from "./results.mjs"

for (const failure of failedTests(JSON.parse(readFileSync(process.argv[2] ?? "", "utf8"))))
  console.log(failure.split("\n", 1)[0])
