/**
 * Run where the package is installed or built: puts files beside its bundles with which they start sooner, and
 * confined.
 */
import { fileURLToPath } from "node:url"
import { COMMAND_OPTIONS, keepBirth, keepBundles, memoryOptions, runtimeOptions } from "@demiflow/program/bundles"

const beside = (file: string): URL => new URL(file, import.meta.url)
const pathOf = (file: string): string => fileURLToPath(beside(file))
const words = process.argv.slice(2)

keepBundles(pathOf("./keep.cjs"), words, [
  { path: pathOf("./main.cjs"), options: [...memoryOptions(), ...COMMAND_OPTIONS] },
  { path: pathOf("./data-path.cjs"), options: runtimeOptions() },
])
// With arguments, this process only compiles.
if (words.length === 0) keepBirth(beside("./become"))
