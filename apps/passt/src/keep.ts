/** Run where the package is installed or built: puts beside its bundles what lets them start sooner, and behind a wall. */
import { fileURLToPath } from "node:url"
import { COMMAND_OPTIONS, keepBirth, keepBundles, memoryOptions, runtimeOptions } from "@demiflow/program/bundles"

const beside = (file: string): URL => new URL(file, import.meta.url)
const pathOf = (file: string): string => fileURLToPath(beside(file))
const words = process.argv.slice(2)

keepBundles(pathOf("./keep.cjs"), words, [
  { path: pathOf("./main.cjs"), options: [...memoryOptions(), ...COMMAND_OPTIONS] },
  { path: pathOf("./data-path.cjs"), options: runtimeOptions() },
])
// With words, this process only compiles.
if (words.length === 0) keepBirth(beside("./become"))
