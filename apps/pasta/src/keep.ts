/** Run where the package is installed or built: keeps compiled code beside its bundles. */
import { fileURLToPath } from "node:url"
import { keepBundles, runtimeOptions } from "@demiflow/program/bundles"

const beside = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

keepBundles(beside("./keep.cjs"), process.argv.slice(2), [
  { path: beside("./main.cjs"), options: [] },
  { path: beside("./data-path.cjs"), options: runtimeOptions() },
])
