// node slow.mjs FILE…: the cases that took more than a fifth of their limit, according to vitest's JSON reporter; those
// with the largest part first. On two idle cores there are none: a machine may be five times slower before a case
// fails.
import { readFileSync } from "node:fs"
import { slowTests } from "./results.mjs"

for (const file of process.argv.slice(2)) {
  for (const { name, seconds, limit } of slowTests(JSON.parse(readFileSync(file, "utf8")))) {
    console.log(`${seconds.toFixed(1)} s of ${limit} s: ${name}`)
  }
}
